"""AVCA against the authors' own code: outputs, losses, gradients, running statistics."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from ezav.methods.avca.losses import loss_parts
from ezav.methods.avca.method import AVCA, AVCAConfig
from ezav.methods.avca.network import Embedded
from ezav.methods.avca.weights import from_published
from ezav.methods.base import Batch, Dims
from tests.methods.fixtures import Fixture, close, close_gradients, without_dropout


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("avca_tiny")


def load(reference: Fixture, **config) -> AVCA:
    method = AVCA(
        AVCAConfig(encoder_hidden=24, decoder_hidden=20, momentum=0.99, **config),
        Dims(audio=16, visual=24, text=300),
    )
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


def run_network(method: AVCA, reference: Fixture) -> tuple[Embedded, Embedded]:
    return method.network(
        (reference["batch/audio"], reference["batch/audio_neg"]),
        (reference["batch/video"], reference["batch/video_neg"]),
        (reference["batch/text"], reference["batch/text_neg"]),
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
    positive, negative = run_network(method, reference)
    for side, suffix in ((positive, ""), (negative, "_neg")):
        for field in fields(Embedded):
            key = f"{mode}/{field.name}{suffix}"
            close(getattr(side, field.name), reference[key], key)
    phi_a, phi_v = method.network.reconstruct(positive.theta_a, positive.theta_v)
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


def is_unread_bias(name: str, gradient: torch.Tensor) -> bool:
    """A bias before BatchNorm: its gradient is rounding noise, which Adam blows up to a step."""
    return name.endswith("bias") and bool(gradient.abs().max() < 1e-5)


def test_one_training_step_equals_the_authors(reference: Fixture) -> None:
    """Adam's step, and the running statistics with the released step's unused passes."""
    method = load(reference, train_positions=False).train()
    network = method.network
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=1e-3, weight_decay=1e-5)
    batch = batch_of(reference)
    method.loss(batch).total.backward()
    optimiser.step()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    theirs = from_published(reference.under("after_one_official_iteration"))
    parameters = dict(network.named_parameters())
    compared = 0
    for name, value in theirs.items():
        if name in parameters and not (name in gradients and is_unread_bias(name, gradients[name])):
            # Adam divides by |gradient|: where it is tiny, rounding shows.
            close(parameters[name], value, name, tolerance=5e-5)
            compared += 1
    assert compared > 30
    assert torch.equal(network.attention.positions, reference["state/pos_emb1D"])


def test_running_statistics_of_a_released_step(reference: Fixture) -> None:
    """The reference was taken after the whole step: its log pass comes after Adam's."""
    method = load(reference, train_positions=False).train()
    network = method.network
    positive, negative = run_network(method, reference)
    rebuilt = network.reconstruct(positive.theta_a, positive.theta_v)
    network.audio_projection(rebuilt[0])
    network.visual_projection(rebuilt[1])
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=1e-3, weight_decay=1e-5)
    text = reference["batch/text"]
    sum(loss_parts(positive, negative, text, reconstructed=rebuilt).values()).backward()
    optimiser.step()
    network.embed(reference["batch/audio"], reference["batch/video"])
    network.embed_text(text)
    ours = dict(network.named_buffers())
    theirs = from_published(reference.under("train0/buffers_after_forward_and_loss"))
    for name, value in theirs.items():
        close(ours[name], value, name, tolerance=5e-3)


@pytest.mark.parametrize("switch", [True, False])
def test_the_switch_makes_the_released_passes(reference: Fixture, switch: bool) -> None:
    method = load(reference, released_norm_passes=switch).train()
    loss = method.loss(batch_of(reference))
    close(loss.total, reference["train0/loss/total"], "total")
    theirs = from_published(reference.under("train0/buffers_after_forward_and_loss"))
    ours = dict(method.network.named_buffers())
    for name, value in theirs.items():
        if name.endswith("num_batches_tracked"):
            # The decoder and the reconstructions see no extra pass.
            always = name.startswith(("decoder", "audio_rec", "visual_rec"))
            assert bool(ours[name] == value) == (switch or always), name


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
    positive, negative = run_network(method, reference)
    parts = loss_parts(positive, negative, reference["batch/text"], additional_triplets=False)
    loss = method.loss(batch_of(reference))
    assert set(loss.parts) == {"reconstruction", "decoded_triplets", "triplets"}
    close(loss.total, sum(parts.values()), "total")
