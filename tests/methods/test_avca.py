"""AVCA against the authors' own code: outputs, losses, gradients, running statistics."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from ezav.methods.avca.config import AVCAConfig
from ezav.methods.avca.losses import loss_parts
from ezav.methods.avca.method import AVCA
from ezav.methods.avca.network import Embedded
from ezav.methods.avca.weights import from_published
from ezav.methods.base import Batch, Dims
from tests.methods.fixtures import (
    Fixture,
    assert_adam_stepped,
    close,
    close_gradients,
    in_double,
    take_unread_biases,
    without_dropout,
)


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("avca")


SIZES = {
    "encoder_hidden": 24,
    "decoder_hidden": 20,
    "token_dim": 18,
    "out_dim": 10,
    "head_dim": 4,
    "mlp_dim": 14,
}


def load(reference: Fixture, **config) -> AVCA:
    method = AVCA(AVCAConfig(**SIZES, momentum=0.99, **config), Dims(audio=16, visual=24, text=20))
    method.network.load_state_dict(from_published(reference.under("state")))
    without_dropout(method)
    return method


def batch_of(reference: Fixture) -> Batch:
    """The reference batch: each clip is a class of its own, then the negatives' classes."""
    count = len(reference["batch/text"])
    classes = torch.cat([reference["batch/text"], reference["batch/text_neg"]])
    negative = Batch(
        audio=reference.pooled("batch/audio_neg"),
        visual=reference.pooled("batch/video_neg"),
        labels=torch.arange(count) + count,
        class_embeddings=classes,
    )
    return Batch(
        audio=reference.pooled("batch/audio"),
        visual=reference.pooled("batch/video"),
        labels=torch.arange(count),
        class_embeddings=classes,
        negative=negative,
    )


def run_network(method: AVCA, reference: Fixture) -> Embedded:
    return method.network(
        *(
            torch.stack([reference[f"batch/{name}"], reference[f"batch/{name}_neg"]], dim=1)
            for name in ("audio", "video", "text")
        )
    )


# The official terms that make up each of our parts.
TERMS = {
    "reconstruction": ["rec_v", "rec_a", "rec_w"],
    "decoded_triplets": ["l_ctv", "l_cta"],
    "triplets": ["l_tv", "l_ta", "l_at", "l_vt"],
    "additional_triplets": ["t_a_w_aneg", "t_v_w_vneg", "t_w_a_wneg", "t_w_v_wneg"],
    "regression": ["reg_phi_v", "reg_phi_a", "reg_theta_v", "reg_theta_a"],
}


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_outputs_equal_the_authors(reference: Fixture, mode: str) -> None:
    method = load(reference).train(mode == "train0")
    embedded = run_network(method, reference)
    for field in fields(Embedded):
        for side, suffix in enumerate(("", "_neg")):
            key = f"{mode}/{field.name}{suffix}"
            close(getattr(embedded, field.name)[:, side], reference[key], key)
    phi_a, phi_v = method.network.reconstruct(embedded.theta_a[:, 0], embedded.theta_v[:, 0])
    close(phi_a, reference[f"{mode}/phi_a_rec"], "phi_a_rec")
    close(phi_v, reference[f"{mode}/phi_v_rec"], "phi_v_rec")


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_every_loss_term_equals_the_authors(reference: Fixture, mode: str) -> None:
    method = load(reference).train(mode == "train0")
    loss = method.loss(batch_of(reference))
    for part, terms in TERMS.items():
        theirs = sum(reference[f"{mode}/loss/{term}"] for term in terms)
        close(loss.parts[part], theirs, part)
    assert set(loss.parts) == set(TERMS)
    close(loss.total, reference[f"{mode}/loss/total"], "total")


def test_gradients_equal_the_authors(reference: Fixture) -> None:
    method = load(reference).train()
    method.loss(batch_of(reference)).total.backward()
    close_gradients(method.network, from_published(reference.under("train0/grad")))


def released_step(reference: Fixture) -> AVCA:
    """One training step with all switches of the authors' code, in double precision."""
    method = load(reference, train_positions=False, released_norm_passes=True).train().double()
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=1e-3, weight_decay=1e-5)
    method.loss(in_double(batch_of(reference))).total.backward()
    optimiser.step()
    return method


def test_one_training_step_equals_the_authors(reference: Fixture) -> None:
    method = released_step(reference)
    theirs = from_published(reference.under("after_one_official_iteration"))
    assert_adam_stepped(method.network, theirs, learning_rate=1e-3)
    assert torch.equal(method.network.attention.positions, reference["state/pos_emb1D"].double())


def test_running_statistics_of_a_released_step(reference: Fixture) -> None:
    """The released step's unused passes, those for its log with the weights after the step."""
    method = released_step(reference)
    theirs = from_published(reference.under("after_one_official_iteration"))
    take_unread_biases(method.network, theirs)
    method.eval()
    ours = dict(method.network.named_buffers())
    moved = {name: value for name, value in theirs.items() if name in ours}
    assert len(moved) == 3 * 12
    for name, value in moved.items():
        close(ours[name], value, name)


def test_without_the_switch_no_pass_is_made(reference: Fixture) -> None:
    before = from_published(reference.under("state"))
    after = from_published(reference.under("after_one_official_iteration"))
    method = load(reference).train()
    loss = method.loss(batch_of(reference))
    close(loss.total, reference["train0/loss/total"], "total")
    ours = dict(method.eval().network.named_buffers())
    for name in ours:
        if name.endswith("num_batches_tracked"):
            # The decoder and the reconstructions see no extra pass.
            same = name.startswith(("decoder", "audio_rec", "visual_rec"))
            assert bool(ours[name] == after[name]) == same, name
            assert ours[name] > before[name]


def test_scores_are_the_authors_distances(reference: Fixture) -> None:
    method = load(reference).eval()
    batch = batch_of(reference)
    scores = method.scores(batch.audio, batch.visual, reference["batch/text"])
    video = reference["eval/get_embeddings/video"]
    text = reference["eval/get_embeddings/text"]
    distances = (video[:, None] - text[None]).square().sum(-1).sqrt()
    close(scores, -distances, "scores")


def test_switches_leave_terms_out(reference: Fixture) -> None:
    method = load(reference, additional_triplets=False, regression=False).eval()
    embedded = run_network(method, reference)
    parts = loss_parts(embedded, reference["batch/text"], additional_triplets=False)
    loss = method.loss(batch_of(reference))
    assert set(loss.parts) == {"reconstruction", "decoded_triplets", "triplets"}
    close(loss.total, sum(parts.values()), "total")
