"""HSP-MoE (`hsp_moe`) against the authors' own code at a small width."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.hsp_moe.config import HspMoeConfig
from ezav.methods.hsp_moe.losses import relation, uniformity
from ezav.methods.hsp_moe.method import HspMoe
from ezav.methods.hsp_moe.network import frozen_scores
from ezav.methods.hsp_moe.weights import from_published
from tests.methods.fixtures import (
    Fixture,
    assert_released_step,
    close,
    close_gradients,
    close_losses,
    without_dropout,
)

DIMS = Dims(audio=40, visual=24, text=64)
SIZES = {"dim": 32, "hidden_dim": 28, "out_dim": 16}
HEAVY = {"distribution_weight": 1.0, "relation_weight": 1.0, "uniformity_weight": 1.0}
SCRIPT = {
    "temperature": 0.2,
    "radial": 0.5,
    "expert_share": 0.0,
    "distribution_weight": 0.005,
    "relation_weight": 0.0,
    "uniformity_weight": 0.0,
}
"""The defaults of the authors' script for UCF."""


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("hspmoe_tiny")


@pytest.fixture(scope="module")
def state(reference: Fixture) -> dict[str, torch.Tensor]:
    return from_published(reference.under("state"))


def load(state: dict[str, torch.Tensor], **config) -> HspMoe:
    method = HspMoe(HspMoeConfig(**SIZES, **config), DIMS)
    missing, unexpected = method.network.load_state_dict(state, strict=False)
    assert missing == ["fusion.scale_"]
    assert not unexpected
    without_dropout(method)
    return method


def test_the_full_size_has_the_authors_number_of_parameters() -> None:
    method = HspMoe(HspMoeConfig(), Dims(audio=1024, visual=512, text=1536))
    assert sum(p.numel() for p in method.parameters()) == 2_776_131
    assert sum(p.numel() for p in method.network.mixture.parameters()) == 538_307


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_outputs_equal_the_authors(reference: Fixture, state, mode: str) -> None:
    network = load(state).train(mode == "train0").network
    sample = torch.cat([reference["batch/video"], reference["batch/audio"]], dim=1)
    close(sample, reference[f"{mode}/model_input"], "input")
    u = network.text_encoder(reference["batch/text"])
    close(u, reference[f"{mode}/w"], "u")
    outputs = network.head(network.sample_encoder(sample), u)
    for name, ours in zip(("theta_o", "theta_w", "rho_o", "rho_w"), outputs):
        close(ours, reference[f"{mode}/{name}"], name)
    close(network.mixture.shares(sample), reference[f"{mode}/theta_o_consensus_weights"], "shares")
    close(network.mixture(sample), reference[f"{mode}/theta_o_consensus"], "mixture")
    close(
        network.directions(outputs[0], sample), reference[f"{mode}/theta_o_semantic"], "direction"
    )


def assert_losses(reference: Fixture, case: str, method: HspMoe) -> None:
    loss = method.loss(reference.batch())
    theirs = reference.under(f"{case}/loss")
    close_losses(loss.parts, theirs)
    preserved = loss.parts["distribution"] + loss.parts["relation"]
    ours = method.config.distribution_weight, method.config.relation_weight
    close(preserved, theirs["semantic_distill_weighted"], "DP and RP", tolerance=1e-6)
    if "dp_raw" in theirs:
        close(loss.parts["distribution"] / ours[0], theirs["dp_raw"], "DP", tolerance=1e-6)
        close(loss.parts["relation"] / ours[1], theirs["rp_raw"], "RP", tolerance=1e-6)
    if weight := method.config.uniformity_weight:
        close(loss.parts["uniformity"] / weight, theirs["semantic_hup_raw"], "HUP")
    close(loss.total, theirs["total"], "total")


@pytest.mark.parametrize(
    ("case", "config"),
    [
        ("eval", {}),
        ("train0", {}),
        ("train0_aux1", HEAVY),
        ("variant/routing_off", {"expert_share": 0.0, **HEAVY}),
        ("variant/hup_preserve", {"uniformity_mode": "preserve", "uniformity_weight": 1.0}),
        ("variant/hup_all_pairs", {"uniformity_all_pairs": True, "uniformity_weight": 1.0}),
        ("variant/radial_ce_0p5", {"radial": 0.5}),
        ("variant/radial_norm_0p5", {"radial": 0.5}),
        ("variant/euclid", {"spherical": False, **HEAVY}),
        ("variant/script_default_ucf", SCRIPT),
        ("variant/route_w1_T0p5", {"expert_share": 1.0, "router_temperature": 0.5}),
    ],
)
def test_every_loss_term_equals_the_authors(
    reference: Fixture, state, case: str, config: dict[str, Any]
) -> None:
    assert_losses(reference, case, load(state, **config).train(case != "eval"))


@pytest.mark.parametrize(("case", "config"), [("train0", {}), ("train0_aux1", HEAVY)])
def test_gradients_equal_the_authors(reference: Fixture, state, case: str, config) -> None:
    method = load(state, **config).train()
    method.loss(reference.batch()).total.backward()
    close_gradients(method.network, from_published(reference.under(f"{case}/grad")))


def test_a_released_step_equals_the_authors(reference: Fixture, state) -> None:
    method = load(state, released_norm_passes=True)
    theirs = from_published(reference.under("after_one_official_iteration"))
    assert_released_step(method, reference.batch(), theirs, but="fusion.scale_")


@pytest.mark.parametrize(
    ("share", "name"), [(0.0, "fused_w1.0"), (0.5, "fused_w0.5_scaled"), (0.7, "fused_w0.3_scaled")]
)
def test_released_scores_are_the_authors_distances(
    reference: Fixture, state, share: float, name: str
) -> None:
    method = load(state, frozen_share=share, released_frozen_scale=True).eval()
    clips = reference.pooled("evalset/audio"), reference.pooled("evalset/video")
    scores = method.scores(*clips, reference["evalset/text_all"])
    close(scores, -reference[f"far/{name}"], "scores")
    if share == 0.5:
        assert torch.equal(scores[:, 10:].argmax(dim=1) + 10, reference["far/pred_zsl"])
        for beta in ("0.0000", "0.2667", "1.0000"):
            biased = scores.clone()
            biased[:, :10] -= float(beta)
            assert torch.equal(biased.argmax(dim=1), reference[f"far/pred_beta_{beta}"])


def test_frozen_and_learned_distances_equal_the_authors(reference: Fixture, state) -> None:
    clips = reference.pooled("evalset/audio"), reference.pooled("evalset/video")
    text = reference["evalset/text_all"]
    method = load(state).eval()
    frozen = frozen_scores(method.sample(*clips), text)
    close(frozen, -reference["far/distance_raw_unscaled"], "frozen")
    # A scale of 1, as before training, is the unscaled fusion.
    close(method.scores(*clips, text), -reference["far/fused_w0.5_unscaled"], "unscaled")


def test_the_scale_is_the_training_batches_mean_ratio(reference: Fixture, state) -> None:
    method = load(state).train()
    batch = reference.batch()
    with torch.no_grad():
        for _ in range(150):
            method.loss(batch)
    sample = method.sample(batch.audio, batch.visual)
    clips, classes = reference["train0/theta_o_semantic"], reference["train0/class_theta_semantic"]
    learned = (clips[:, None] - classes[None]).norm(dim=2).mean()
    frozen = -frozen_scores(sample, batch.class_embeddings).mean()
    close(method.network.fusion.scale_, learned / frozen, "scale")
    before = method.network.fusion.scale_.clone()
    method.eval().loss(batch)
    assert torch.equal(method.network.fusion.scale_, before)


def test_weak_losses_against_loops() -> None:
    torch.manual_seed(0)
    clips, frozen = (torch.nn.functional.normalize(torch.randn(5, d), dim=1) for d in (3, 6))
    labels = torch.tensor([0, 1, 0, 2, 1])
    gaps, nearness = [], []
    for i in range(5):
        for j in range(5):
            if i != j:
                gaps.append((clips[i] @ clips[j] - frozen[i] @ frozen[j]) ** 2)
            if labels[i] != labels[j]:
                nearness.append((-2 * (clips[i] - clips[j]).square().sum()).exp())
    close(relation(clips, frozen), torch.stack(gaps).mean(), "RP")
    close(uniformity(clips, labels), torch.stack(nearness).mean().log() + 8, "HUP")
    every = [
        (-2 * (clips[i] - clips[j]).square().sum()).exp()
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    close(uniformity(clips, labels, all_pairs=True), torch.stack(every).mean().log() + 8, "all")
    less = uniformity(clips, labels) - uniformity(frozen, labels)
    for sign, ours in ((1, (clips, frozen)), (-1, (frozen, clips))):
        close(uniformity(ours[0], labels, ours[1]), (sign * less).clamp(min=0), "preserve")
    assert relation(clips[:1], frozen[:1]) == 0
    assert uniformity(clips, labels * 0) == 0


def test_text_of_another_space_needs_the_frozen_parts_off() -> None:
    dims = Dims(audio=3, visual=4, text=5)
    with pytest.raises(EzavError, match=r"4 \+ 3 dimensions.*they have 5"):
        HspMoe(HspMoeConfig(), dims)
    method = HspMoe(HspMoeConfig(frozen_share=0, distribution_weight=0), dims).eval()
    clips = Tokens.pooled(torch.ones(2, 3)), Tokens.pooled(torch.ones(2, 4))
    assert method.scores(*clips, torch.ones(6, 5)).shape == (2, 6)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"frozen_share": 1.5}, "frozen_share 1.5 is outside"),
        ({"expert_share": -0.1}, "expert_share -0.1 is outside"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_settings_beyond_reason_are_refused(config: dict[str, float], words: str) -> None:
    with pytest.raises(EzavError, match=words):
        HspMoeConfig(**config)
