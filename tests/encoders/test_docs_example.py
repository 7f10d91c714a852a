"""The encoder of docs/tutorials/own-encoder.md, taken from there and used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ezav.encoders import load_visual
from ezav.media import FrameSpec, read_clip
from tests.media.files import write_clip

_DOCS = Path(__file__).parents[2] / "docs" / "tutorials" / "own-encoder.md"


def test_the_encoder_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *_ = re.findall(r"```python\n(.*?)```", _DOCS.read_text(encoding="utf-8"), re.S)
    (tmp_path / "mymodule.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = load_visual("mymodule:Brightness")
    path = tmp_path / "a.mp4"
    write_clip(path, frames=8, size=(32, 24), tone=200.0, rate=8_000)
    clip = read_clip(path, video=FrameSpec.at_fps(2))
    assert clip.frames is not None
    ((values, times),) = made.encode([clip.frames])
    assert np.allclose(values[:, 0], clip.frames.images.mean(axis=(1, 2, 3)), atol=1e-3)
    assert np.array_equal(times, clip.frames.times)
