"""Frozen scores from the labels that an encoder knows, against a naive formulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.encoders.text import MINILM
from ezav.encoders.words import TEMPERATURE
from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.blending.method import Blending, BlendingConfig
from ezav.methods.common.label_words import LabelHead
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.recipes.frozen import frozen_settings
from tests.benchmarks.test_bench import store_with

DIMS = Dims(audio=3, visual=4, text=5)
DRAW = torch.Generator().manual_seed(0)
HEAD = LabelHead(
    "visual",
    torch.randn(7, 4, generator=DRAW),
    torch.randn(7, generator=DRAW),
    torch.nn.functional.normalize(torch.randn(7, 5, generator=DRAW), dim=1),
)
CLASSES = torch.nn.functional.normalize(torch.randn(6, 5, generator=DRAW), dim=1)


def clips(count: int) -> tuple[Tokens, Tokens]:
    return (
        Tokens.pooled(torch.randn(count, 3, generator=DRAW)),
        Tokens.pooled(torch.randn(count, 4, generator=DRAW)),
    )


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def said(visual: np.ndarray) -> np.ndarray:
    """The words of one clip, written out."""
    logits = np.array([row @ visual for row in HEAD.weight.numpy()]) + HEAD.bias.numpy()
    shares = np.exp(logits / TEMPERATURE)
    return shares / shares.sum() @ HEAD.vectors.numpy()


def test_words_are_compared_with_the_names_each_side_centred() -> None:
    method = ZeroShot(ZeroShotConfig(words=True), DIMS)
    method.know_labels(HEAD)
    train, seen = clips(9), CLASSES[:4]
    method.prepare(*train, torch.arange(9) % 4, seen)
    audio, visual = clips(3)
    found = method.scores(audio, visual, CLASSES)
    mean = np.mean([unit(said(v)) for v in train[1].values[:, 0].numpy()], axis=0)
    names_mean = np.mean([unit(row) for row in seen.numpy()], axis=0)
    for row, v in enumerate(visual.values[:, 0].numpy()):
        clip = unit(unit(said(v)) - mean)
        for column, name in enumerate(CLASSES.numpy()):
            expected = clip @ unit(unit(name) - names_mean)
            assert float(found[row, column]) == pytest.approx(expected, abs=1e-5)


def test_a_saved_method_needs_no_encoder() -> None:
    method = ZeroShot(ZeroShotConfig(words=True), DIMS)
    method.know_labels(HEAD)
    method.prepare(*clips(9), torch.arange(9) % 4, CLASSES[:4])
    again = ZeroShot(ZeroShotConfig(words=True), DIMS)
    again.load_state_dict(method.state_dict())
    audio, visual = clips(3)
    assert torch.equal(again.scores(audio, visual, CLASSES), method.scores(audio, visual, CLASSES))


@pytest.mark.parametrize("prefix", ["words.", "frozen.words."])
def test_a_run_of_before_keeps_the_temperature_it_was_made_with(prefix: str) -> None:
    """Its state has none; then the logits were halved, and what was learned belongs to that."""
    inner = prefix == "words."

    def made() -> Method:
        return (
            ZeroShot(ZeroShotConfig(words=True), DIMS)
            if inner
            else Blending(BlendingConfig(trained="eszsl", words=True, weight=0.5), DIMS)
        )

    method = made()
    method.know_labels(HEAD)
    method.prepare(*clips(9), torch.arange(9) % 4, CLASSES[:4])
    state = method.state_dict()
    assert float(state.pop(f"{prefix}temperature")) == TEMPERATURE
    old = made()
    old.load_state_dict(state)
    words = old.get_submodule(prefix.rstrip("."))
    audio, visual = clips(1)
    logits = np.array([row @ visual.values[0, 0].numpy() for row in HEAD.weight.numpy()])
    shares = np.exp((logits + HEAD.bias.numpy()) / 2)
    expected = shares / shares.sum() @ HEAD.vectors.numpy()
    np.testing.assert_allclose(words(audio, visual)[0], expected, atol=1e-5)
    again = made()
    again.load_state_dict(old.state_dict())
    assert float(again.get_buffer(f"{prefix}temperature")) == 2.0


def test_a_clip_without_a_picture_says_nothing() -> None:
    method = ZeroShot(ZeroShotConfig(words=True), DIMS)
    method.know_labels(HEAD)
    method.prepare(*clips(9), torch.arange(9) % 4, CLASSES[:4])
    assert method.modalities == ("visual",)
    audio, visual = clips(2)
    blind = Tokens(visual.values, torch.zeros_like(visual.mask), visual.times)
    assert not method.scores(audio, blind, CLASSES).any()


def test_without_labels_there_are_no_words() -> None:
    method = ZeroShot(ZeroShotConfig(words=True), DIMS)
    with pytest.raises(EzavError, match="knows labels"):
        method.prepare(*clips(9), torch.arange(9) % 4, CLASSES[:4])


def test_blending_takes_words_for_its_frozen_part() -> None:
    method = Blending(BlendingConfig(trained="eszsl", words=True, weight=1.0), DIMS)
    alone = ZeroShot(ZeroShotConfig(words=True), DIMS)
    train = clips(12)
    for one in (method, alone):
        one.know_labels(HEAD)
        one.prepare(*train, torch.arange(12) % 4, CLASSES[:4])
    audio, visual = clips(3)
    blended, frozen = (one.scores(audio, visual, CLASSES) for one in (method, alone))
    assert torch.equal(blended.argsort(dim=1), frozen.argsort(dim=1))


def test_a_store_says_whether_it_has_words(tmp_path: Path) -> None:
    minilm = (MINILM.label, 384)
    known = store_with(tmp_path / "known", ("efficientnet", 1280), ("aisfx", 512), minilm)
    deaf = store_with(tmp_path / "deaf", ("c3d", 8), ("aisfx", 512), minilm)
    assert frozen_settings(known) == {"words": True}
    assert frozen_settings(deaf) is None
