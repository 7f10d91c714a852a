"""f-VAEGAN-D2: losses by hand, whose parameters move, the classifier against autograd."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.f_vaegan_d2.classifier import fit_softmax
from ezav.methods.f_vaegan_d2.config import FVAEGANConfig
from ezav.methods.f_vaegan_d2.losses import critic_parts, generator_parts
from ezav.methods.f_vaegan_d2.method import FVAEGAND2
from ezav.methods.f_vaegan_d2.network import FVAEGANNetwork

DIMS = Dims(audio=2, visual=3, text=4)


def small(**config) -> FVAEGAND2:
    torch.manual_seed(0)
    sizes = {
        "noise_dim": 3,
        "hidden_dim": 6,
        "synthetic_per_class": 12,
        "real_per_class": 5,
        "classifier_epochs": 5,
    }
    return FVAEGAND2(FVAEGANConfig(**{**sizes, **config}), DIMS)


def clips(number: int = 12, seed: int = 0) -> tuple[Tokens, Tokens, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(number, 2, generator=g), torch.randn(number, 3, generator=g)
    return Tokens.pooled(audio), Tokens.pooled(visual), torch.arange(number) % 3


CLASSES = torch.eye(4)[:3]


def batch_of() -> Batch:
    audio, visual, labels = clips()
    return Batch(audio=audio, visual=visual, labels=labels, class_embeddings=CLASSES)


def inputs() -> tuple[FVAEGANNetwork, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    config = FVAEGANConfig(noise_dim=3, hidden_dim=6)
    network = FVAEGANNetwork(Dims(audio=2, visual=3, text=4), config).double()
    with torch.no_grad():
        for parameter in network.critic.parameters():
            parameter.mul_(30)
    x = torch.rand(7, 5, dtype=torch.float64)
    text = torch.randn(7, 4, dtype=torch.float64)
    return network, x, text, torch.randn(7, 3, dtype=torch.float64)


def test_critic_loss_with_slopes_by_finite_differences() -> None:
    network, x, text, noise = inputs()
    fake = network.generator(noise, text)
    mix = torch.rand(7, 1, dtype=torch.float64)
    parts = critic_parts(network, x, text, fake, mix, 10.0)
    judged = [float(network.critic(y, text).mean()) for y in (fake, x)]
    assert float(parts["critic"]) == pytest.approx(judged[0] - judged[1])
    penalty = 0.0
    for i in range(7):
        u = mix[i] * x[i] + (1 - mix[i]) * fake[i].detach()
        slope = []
        for k in range(5):
            nudge = torch.zeros(5, dtype=torch.float64)
            nudge[k] = 1e-6
            up, down = (network.critic((u + s * nudge)[None], text[i : i + 1]) for s in (1, -1))
            slope.append(float(up - down) / 2e-6)
        penalty += 10 * (math.sqrt(sum(s * s for s in slope)) - 1) ** 2 / 7
    assert float(parts["penalty"]) == pytest.approx(penalty, rel=1e-5)


def test_generator_loss_clip_by_clip() -> None:
    network, x, text, noise = inputs()
    fake = network.generator(noise, text)
    parts = generator_parts(network, x, text, fake, noise, 7.0)
    total, judged = 0.0, 0.0
    for i in range(7):
        row = slice(i, i + 1)
        mean, log_variance = (t[0] for t in network.encoder(x[row], text[row]))
        rebuilt = network.generator((mean + noise[i] * log_variance.exp().sqrt())[None], text[row])
        for p, q in zip(rebuilt[0].tolist(), x[i].tolist()):
            total -= q * math.log(p) + (1 - q) * math.log(1 - p)
        for m, lv in zip(mean.tolist(), log_variance.tolist()):
            total += 0.5 * (m * m + math.exp(lv) - lv - 1)
        judged += float(network.critic(rebuilt, text[row]) + network.critic(fake[row], text[row]))
    assert float(parts["vae"]) == pytest.approx(total, rel=1e-6)
    assert float(parts["adversarial"]) == pytest.approx(-7 * judged / 7, rel=1e-6)


def test_cross_entropy_is_taken_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's autocast, unlike the CPU's, ends binary_cross_entropy in an error."""
    network, x, text, noise = (one.float() for one in inputs())
    taken = []

    def watched(rebuilt: torch.Tensor, wanted: torch.Tensor, **options: str) -> torch.Tensor:
        taken.append((rebuilt.dtype, wanted.dtype, torch.is_autocast_enabled("cpu")))
        return cross_entropy(rebuilt, wanted, **options)

    cross_entropy = F.binary_cross_entropy
    monkeypatch.setattr(F, "binary_cross_entropy", watched)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fake = network.generator(noise, text)
        generator_parts(network, x, text, fake, noise, 7.0)
    assert taken == [(torch.float32, torch.float32, False)]


def test_each_part_moves_its_own_parameters() -> None:
    network, x, text, noise = inputs()
    mix = torch.rand(7, 1, dtype=torch.float64)

    def moved(parts: dict[str, torch.Tensor]) -> set[str]:
        network.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        return {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None}

    fake = network.generator(noise, text)
    assert moved(critic_parts(network, x, text, fake, mix, 10.0)) == {"critic"}
    fake = network.generator(noise, text)
    assert moved(generator_parts(network, x, text, fake, noise, 7.0)) == {"encoder", "generator"}


def test_one_generator_step_in_several() -> None:
    method = small(critic_steps=3).train()
    method.prepare(*clips(), CLASSES)
    with_generator = ["vae" in method.loss(batch_of()).parts for _ in range(7)]
    assert with_generator == [True, False, False, True, False, False, True]
    assert not small(critic_steps=1).train().loss(batch_of()).parts.keys().isdisjoint({"vae"})


def test_classifier_equals_autograd() -> None:
    g = torch.Generator().manual_seed(3)
    examples = torch.randn(4, 10, 5, generator=g, dtype=torch.float64)
    weight = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight, bias], lr=0.02, betas=(0.5, 0.999))
    for _ in range(6):
        for start in (0, 3, 6, 9):
            part = examples[:, start : start + 3]
            labels = torch.arange(4).repeat_interleave(part.shape[1])
            loss = F.cross_entropy(part.flatten(0, 1) @ weight.T + bias, labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
    ours = fit_softmax(examples, epochs=6, rows=14, learning_rate=0.02)
    torch.testing.assert_close(ours[0], weight.detach(), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours[1], bias.detach(), rtol=1e-5, atol=1e-7)


def test_examples_are_real_where_there_are_any() -> None:
    method = small().eval()
    audio, visual, labels = clips()
    method.prepare(audio, visual, labels, CLASSES)
    x = torch.cat([visual.mean(), audio.mean()], dim=1)
    x = (x - x.amin(0)) / (x.amax(0) - x.amin(0))
    torch.testing.assert_close(method.features(audio, visual), x)
    unseen = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    examples = method.examples(torch.cat([CLASSES[[2, 0]], unseen]))
    assert examples.shape == (3, 12, 5)
    for made, label in zip(examples[:2], (2, 0)):
        nearest = torch.cdist(made, x[labels == label]).amin(dim=1)
        assert nearest.max() < 1e-5
    assert torch.cdist(examples[2], x).min() > 1e-3


def test_scores_follow_training_and_classes() -> None:
    method = small().eval()
    audio, visual, labels = clips()
    method.prepare(audio, visual, labels, CLASSES)
    before = method.scores(audio, visual, torch.eye(4))
    assert torch.equal(before, method.scores(audio, visual, torch.eye(4)))
    # As in the loop: a fused step does not raise the version of what it changes.
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=0.1, fused=True)
    method.train().loss(batch_of()).total.backward()
    optimiser.step()
    assert not torch.equal(before, method.eval().scores(audio, visual, torch.eye(4)))
    assert method.scores(audio, visual, torch.eye(4)[:2]).shape == (12, 2)


def test_kept_examples_do_not_depend_on_the_order_of_the_classes() -> None:
    audio, visual, labels = clips()
    method, other = small().eval(), small().eval()
    method.prepare(audio, visual, labels, CLASSES)
    turn = torch.tensor([2, 0, 1])
    other.prepare(audio, visual, turn.argsort()[labels], CLASSES[turn])
    assert torch.equal(other.examples_, method.examples_[turn])


def test_released_scaling_is_unit_length() -> None:
    method = small(scaling="length").eval()
    audio, visual, _ = clips()
    positive = (Tokens.pooled(t.mean().abs()) for t in (audio, visual))
    features = method.features(*positive)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(12))
