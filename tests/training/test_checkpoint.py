"""A state of training that something else has written over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ezav.errors import EzavError
from ezav.training.checkpoint import Checkpoint


@pytest.mark.parametrize(
    "tree",
    ["[1]", '{"pairs": [["key", "k"]]}', '{"pairs": 3}', '{"pairs": [["state", 1]]}', "["],
)
def test_a_damaged_checkpoint_is_told(tree: str, tmp_path: Path) -> None:
    save_file({"0": torch.ones(1)}, tmp_path / "a", {"tree": tree})
    with pytest.raises(EzavError, match="cannot read the checkpoint"):
        Checkpoint(tmp_path / "a", "k").load()
