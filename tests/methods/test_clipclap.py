"""ClipClap against the authors' own code at a small width."""

from __future__ import annotations

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.clipclap.config import ClipClapConfig
from ezav.methods.clipclap.method import ClipClap
from ezav.methods.clipclap.weights import from_published
from tests.methods.fixtures import (
    Fixture,
    assert_released_step,
    close,
    close_gradients,
    close_losses,
    without_dropout,
)

DIMS = Dims(audio=24, visual=16, text=40)
SIZES = {"dim": 18, "hidden_dim": 20, "out_dim": 10}


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("clipclap")


@pytest.fixture(scope="module")
def state(reference: Fixture) -> dict[str, torch.Tensor]:
    return from_published(reference.under("state"))


def load(state: dict[str, torch.Tensor], **config) -> ClipClap:
    method = ClipClap(ClipClapConfig(**SIZES, **config), DIMS)
    method.network.load_state_dict(state)
    without_dropout(method)
    return method


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_outputs_equal_the_authors(reference: Fixture, state, mode: str) -> None:
    method = load(state).train(mode == "train0")
    batch = reference.batch()
    network = method.network
    u = network.text_encoder(reference["batch/text"])
    close(u, reference[f"{mode}/w"], "u")
    o = network.sample_encoder(method.sample(batch.audio, batch.visual))
    for name, ours in zip(("theta_o", "theta_w", "rho_o", "rho_w"), network.head(o, u)):
        close(ours, reference[f"{mode}/{name}"], name)


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_every_loss_term_equals_the_authors(reference: Fixture, state, mode: str) -> None:
    method = load(state).train(mode == "train0")
    loss = method.loss(reference.batch())
    assert len(loss.parts) == 3
    close_losses(loss.parts, reference.under(f"{mode}/loss"))
    close(loss.total, reference[f"{mode}/loss/total_loss"], "total")


def test_gradients_equal_the_authors(reference: Fixture, state) -> None:
    method = load(state).train()
    method.loss(reference.batch()).total.backward()
    close_gradients(method.network, from_published(reference.under("train0/grad")))


def test_a_released_step_equals_the_authors(reference: Fixture, state) -> None:
    method = load(state, released_norm_passes=True)
    theirs = from_published(reference.under("after_one_official_iteration"))
    assert_released_step(method, reference.batch(), theirs)


def test_scores_are_the_authors_distances(reference: Fixture, state) -> None:
    method = load(state).eval()
    batch = reference.batch()
    scores = method.scores(batch.audio, batch.visual, reference["batch/text"])
    video = reference["eval/get_embeddings/video"]
    text = reference["eval/get_embeddings/text"]
    close(scores, -(video[:, None] - text[None]).square().sum(-1).sqrt(), "scores")


def test_detached_target_stops_one_path(reference: Fixture, state) -> None:
    gradients = {}
    for detach in (False, True):
        method = load(state, detach_target=detach).train()
        loss = method.loss(reference.batch())
        close(loss.total, reference["train0/loss/total_loss"], "value unchanged")
        loss.total.backward()
        gradients[detach] = method.network.text_encoder[0].weight.grad
    assert (gradients[True] - gradients[False]).abs().max() > 1e-5


@pytest.mark.parametrize("part", ["audio", "visual"])
def test_one_modality_ignores_the_other(part: str) -> None:
    torch.manual_seed(0)
    dims = Dims(audio=3, visual=4, text=7)
    config = ClipClapConfig(modality=part, text=part, dim=8, hidden_dim=8, out_dim=4)
    method = ClipClap(config, dims).eval()
    audio, visual, classes = torch.randn(2, 3), torch.randn(2, 4), torch.randn(5, 7)
    before = method.scores(Tokens.pooled(audio), Tokens.pooled(visual), classes)
    other = classes.clone()
    if part == "audio":
        visual, other[:, :4] = visual + 1, other[:, :4] + 1
    else:
        audio, other[:, 4:] = audio + 1, other[:, 4:] + 1
    after = method.scores(Tokens.pooled(audio), Tokens.pooled(visual), other)
    assert torch.equal(before, after)
    changed = method.scores(Tokens.pooled(audio + 1), Tokens.pooled(visual + 1), classes)
    assert not torch.equal(before, changed)


def test_one_text_needs_both_side_by_side() -> None:
    with pytest.raises(EzavError, match="4 \\+ 3 dimensions, they have 5"):
        ClipClap(ClipClapConfig(text="audio"), Dims(audio=3, visual=4, text=5))
