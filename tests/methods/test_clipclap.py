"""ClipClap against the authors' own code at a small width."""

from __future__ import annotations

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.clipclap.config import ClipClapConfig
from ezav.methods.clipclap.method import ClipClap
from ezav.methods.clipclap.weights import from_published
from tests.methods.fixtures import (
    Fixture,
    assert_adam_stepped,
    close,
    close_gradients,
    in_double,
    take_unread_biases,
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


def batch_of(reference: Fixture) -> Batch:
    return Batch(
        audio=reference.pooled("batch/audio"),
        visual=reference.pooled("batch/video"),
        labels=reference["batch/cls_numeric"],
        class_embeddings=reference["batch/embeddings_crossentropy"],
    )


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_outputs_equal_the_authors(reference: Fixture, state, mode: str) -> None:
    method = load(state).train(mode == "train0")
    batch = batch_of(reference)
    network = method.network
    u = network.text_encoder(reference["batch/text"])
    close(u, reference[f"{mode}/w"], "u")
    o = network.sample_encoder(method.sample(batch.audio, batch.visual))
    for name, ours in zip(("theta_o", "theta_w", "rho_o", "rho_w"), network.head(o, u)):
        close(ours, reference[f"{mode}/{name}"], name)


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_every_loss_term_equals_the_authors(reference: Fixture, state, mode: str) -> None:
    method = load(state).train(mode == "train0")
    loss = method.loss(batch_of(reference))
    theirs = {
        "cross_entropy": "cross_entropy",
        "regression": "loss_reg",
        "reconstruction": "loss_cmd_rec",
    }
    assert set(loss.parts) == set(theirs)
    for part, name in theirs.items():
        close(loss.parts[part], reference[f"{mode}/loss/{name}"], part)
    close(loss.total, reference[f"{mode}/loss/total_loss"], "total")


def test_gradients_equal_the_authors(reference: Fixture, state) -> None:
    method = load(state).train()
    method.loss(batch_of(reference)).total.backward()
    close_gradients(method.network, from_published(reference.under("train0/grad")))


def test_a_released_step_equals_the_authors(reference: Fixture, state) -> None:
    """Parameters and running statistics, with the pass for the log after Adam's step."""
    method = load(state, released_norm_passes=True).train().double()
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=7e-5, weight_decay=1e-5)
    method.loss(in_double(batch_of(reference))).total.backward()
    optimiser.step()
    theirs = from_published(reference.under("after_one_official_iteration"))
    assert_adam_stepped(method.network, theirs, learning_rate=7e-5)
    take_unread_biases(method.network, theirs)
    for name, buffer in method.eval().network.named_buffers():
        close(buffer, theirs[name], name)


def test_scores_are_the_authors_distances(reference: Fixture, state) -> None:
    method = load(state).eval()
    batch = batch_of(reference)
    scores = method.scores(batch.audio, batch.visual, reference["batch/text"])
    video = reference["eval/get_embeddings/video"]
    text = reference["eval/get_embeddings/text"]
    close(scores, -(video[:, None] - text[None]).square().sum(-1).sqrt(), "scores")


def test_detached_target_stops_one_path(reference: Fixture, state) -> None:
    gradients = {}
    for detach in (False, True):
        method = load(state, detach_target=detach).train()
        loss = method.loss(batch_of(reference))
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
