"""ESZSL and frozen zero-shot against independent formulations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.eszsl.method import ESZSL, ESZSLConfig
from ezav.methods.eszsl.solution import BilinearRidge
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.metrics import seen_unseen_curve
from ezav.training.config import TrainingConfig
from ezav.training.trainer import Trainer


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("balanced", [True, False])
def test_eszsl_is_the_minimum_of_its_objective(signed: bool, balanced: bool) -> None:
    rng = np.random.default_rng(0)
    n, d, c, a = 30, 5, 4, 3
    x, s = rng.normal(size=(n, d)), rng.normal(size=(c, a))
    labels = rng.integers(0, c, n)
    feature_ridge, class_ridge = 0.7, 0.2
    y = np.where(np.eye(c)[labels] > 0, 1.0, -1.0 if signed else 0.0)
    weight = np.ones(n)
    if balanced:
        weight = np.array([n / (c * np.sum(labels == label)) for label in labels])

    def objective(v: torch.Tensor) -> torch.Tensor:
        xs, ss, ys, ws = map(torch.tensor, (x, s, y, weight))
        fit = (ws[:, None] * (xs @ v @ ss.T - ys) ** 2).sum()
        return (
            fit
            + feature_ridge * (v @ ss.T).square().sum()
            + class_ridge * (ws[:, None] * (xs @ v) ** 2).sum()
            + feature_ridge * class_ridge * v.square().sum()
        )

    ridge = BilinearRidge.of(
        torch.tensor(x).float(),
        torch.tensor(labels),
        torch.tensor(s).float(),
        signed=signed,
        balanced=balanced,
    )
    ours = ridge.solution(ridge.solved_for_features(feature_ridge), class_ridge)
    ours.requires_grad_(True)
    objective(ours).backward()
    # The objective is convex: its only stationary point is the minimum.
    assert ours.grad.abs().max() < 1e-3
    assert float(objective(ours * 1.5)) > float(objective(ours)) + 0.01


def test_eszsl_scores_are_the_bilinear_form() -> None:
    rng = np.random.default_rng(1)
    a, v, w = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), rng.normal(size=(4, 6))
    audio, visual = (Tokens.pooled(torch.tensor(x).float()) for x in (a, v))
    method = ESZSL(ESZSLConfig(alpha=-1, gamma=1), Dims(audio=2, visual=3, text=6))
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0])
    method.prepare(audio, visual, labels, torch.tensor(w).float())
    x = np.concatenate([r / np.linalg.norm(r, axis=1, keepdims=True) for r in (v, a)], axis=1)
    s = w / np.linalg.norm(w, axis=1, keepdims=True)
    left = np.linalg.inv(x.T @ x + 0.1 * np.eye(5))
    right = np.linalg.inv(s.T @ s + 10 * np.eye(6))
    y = np.eye(4)[labels.numpy()]
    expected = x @ (left @ x.T @ y @ s @ right) @ s.T
    ours = method.scores(audio, visual, torch.tensor(w).float())
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-4)


def test_eszsl_learns_its_penalties_on_validation() -> None:
    """The pair is the best of the grid, each tried as a method of its own."""
    g = torch.Generator().manual_seed(3)
    classes = torch.randn(6, 5, generator=g)
    mixing = torch.randn(5, 7, generator=g)
    labels = torch.arange(60) % 4
    targets = torch.arange(90) % 6
    seen = torch.arange(6) < 4

    def clips(of: torch.Tensor) -> tuple[Tokens, Tokens]:
        x = classes[of] @ mixing + 2.5 * torch.randn(len(of), 7, generator=g)
        return Tokens.pooled(x[:, :3]), Tokens.pooled(x[:, 3:])

    train, validation = clips(labels), clips(targets)

    def fitted(**config) -> ESZSL:
        method = ESZSL(ESZSLConfig(**config), Dims(audio=3, visual=4, text=5))
        method.prepare(*train, labels, classes[:4])
        return method

    def hm(method: ESZSL) -> float:
        return seen_unseen_curve(method.scores(*validation, classes), targets, seen).best_hm

    method = fitted()
    method.learn_on_validation(lambda part: part.scores(*validation, classes), targets, seen)
    alpha, gamma = method.exponents_.tolist()
    found = {(a, c): hm(fitted(alpha=a, gamma=c)) for a in range(-3, 4) for c in range(-3, 4)}
    assert hm(method) == found[alpha, gamma] == max(found.values()) > min(found.values())
    # Stage 2 takes the penalties over, for other clips.
    other = ESZSL(method.config, method.dims)
    other.prepare(*validation, targets, classes)
    other.take_over({"exponents_": method.exponents_})
    fixed = ESZSL(ESZSLConfig(alpha=alpha, gamma=gamma), method.dims)
    fixed.prepare(*validation, targets, classes)
    assert torch.equal(other.weight_, fixed.weight_)
    # What the config fixes stays.
    half = fitted(alpha=2)
    half.learn_on_validation(lambda part: part.scores(*validation, classes), targets, seen)
    assert half.exponents_[0] == 2


def few_clips_of_many_numbers(
    scale: float, copies: int = 1
) -> tuple[Tokens, Tokens, torch.Tensor, torch.Tensor]:
    """As few clips as leave the features' products singular, at a raw scale.

    Copies of clips leave the clips' products singular too.
    """
    g = torch.Generator().manual_seed(4)
    count = 100 // copies
    audio = (torch.randint(0, 256, (count, 128), generator=g) * scale).repeat(copies, 1)
    visual = torch.rand(count, 64, generator=g).repeat(copies, 1)
    classes = torch.nn.functional.normalize(torch.randn(12, 10, generator=g), dim=1)
    return Tokens.pooled(audio), Tokens.pooled(visual), torch.arange(100), classes


def raw_eszsl(**config) -> ESZSL:
    dims = Dims(audio=128, visual=64, text=10)
    return ESZSL(ESZSLConfig(normalization="none", **config), dims)


def test_eszsl_solves_at_a_raw_scale_with_a_small_penalty() -> None:
    audio, visual, rows, classes = few_clips_of_many_numbers(1.0)
    method = raw_eszsl(alpha=-3, gamma=0)
    method.prepare(audio, visual, rows % 8, classes[:8])
    x = np.concatenate([visual.mean().numpy(), audio.mean().numpy()], axis=1).astype(np.float64)
    s, y = classes[:8].double().numpy(), np.eye(8)[rows.numpy() % 8]
    # (X^T X + r I)^-1 X^T is X^T (X X^T + r I)^-1, whose matrix is well-conditioned here.
    left = x.T @ np.linalg.solve(x @ x.T + 1e-3 * np.eye(100), y)
    expected = left @ s @ np.linalg.inv(s.T @ s + np.eye(10))
    np.testing.assert_allclose(method.weight_.numpy(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("clips", "classes"), [(30, 4), (5, 4), (30, 9), (5, 9)])
def test_either_space_of_eszsl_gives_the_definition(
    clips: int, classes: int, balanced: bool, signed: bool
) -> None:
    rng = np.random.default_rng(clips + classes)
    x, s = rng.normal(size=(clips, 12)), rng.normal(size=(classes, 6))
    labels = rng.integers(classes, size=clips)
    y = np.eye(classes)[labels] * (2 if signed else 1) - (1 if signed else 0)
    count = np.bincount(labels, minlength=classes)
    weight = clips / ((count > 0).sum() * count[labels]) if balanced else np.ones(clips)
    heavy = weight[:, None] * x
    left = np.linalg.solve(heavy.T @ x + 0.3 * np.eye(12), heavy.T @ y)
    expected = left @ s @ np.linalg.inv(s.T @ s + 0.7 * np.eye(6))
    given = (torch.from_numpy(one) for one in (x, labels, s))
    ridge = BilinearRidge.of(*given, signed=signed, balanced=balanced)
    found = ridge.solution(ridge.solved_for_features(0.3), 0.7).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_eszsl_passes_over_penalties_without_a_solution() -> None:
    audio, visual, rows, classes = few_clips_of_many_numbers(1e5, copies=2)
    targets, seen = rows % 12, torch.arange(12) < 8
    method = raw_eszsl()
    method.prepare(audio, visual, rows % 8, classes[:8])
    method.learn_on_validation(lambda part: part.scores(audio, visual, classes), targets, seen)
    assert method.exponents_[0] > 0
    assert method.weight_.isfinite().all()


def test_eszsl_says_which_penalty_is_too_small() -> None:
    audio, visual, rows, classes = few_clips_of_many_numbers(1.0, copies=2)
    with pytest.raises(EzavError, match="ridge of 1e-20 is too small for these features"):
        raw_eszsl(alpha=-20, gamma=0).prepare(audio, visual, rows % 8, classes[:8])
    method = raw_eszsl(gamma=-40)
    classes[1] = classes[0]
    method.prepare(audio, visual, rows % 8, classes[:8])
    with pytest.raises(EzavError, match="ridge of 1e-40 is too small for these class embeddings"):
        method.learn_on_validation(
            lambda part: part.scores(audio, visual, classes), rows % 12, torch.arange(12) < 8
        )
    with pytest.raises(EzavError, match=r"alpha 400 is outside \[-100, 100\]; it is a power of 10"):
        raw_eszsl(alpha=400)


@pytest.mark.parametrize("visual_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("fusion", ["cosine", "softmax"])
def test_zero_shot_against_a_loop(fusion: str, visual_weight: float) -> None:
    rng = np.random.default_rng(2)
    a, v, w = rng.normal(size=(5, 2)), rng.normal(size=(5, 3)), rng.normal(size=(4, 5))
    has_audio = np.array([True, True, False, True, False])
    has_visual = np.array([True, False, True, True, False])
    config = ZeroShotConfig(visual_weight=visual_weight, fusion=fusion)
    method = ZeroShot(config, Dims(audio=2, visual=3, text=5))

    def cosines(x: np.ndarray, text: np.ndarray, scale: float) -> np.ndarray:
        row = np.array([x @ t / np.linalg.norm(x) / np.linalg.norm(t) for t in text])
        if fusion == "softmax":
            row = np.exp(row * scale) / np.exp(row * scale).sum()
        return row

    ours = method.scores(
        Tokens.pooled(torch.tensor(a).float(), torch.tensor(has_audio)),
        Tokens.pooled(torch.tensor(v).float(), torch.tensor(has_visual)),
        torch.tensor(w).float(),
    )
    for i in range(5):
        parts = []
        if has_visual[i]:
            parts.append((visual_weight, cosines(v[i], w[:, :3], 100.0)))
        if has_audio[i]:
            parts.append((1 - visual_weight, cosines(a[i], w[:, 3:], 14.3)))
        if len(parts) == 1:
            parts = [(1.0, parts[0][1])]
        total = sum(share for share, _ in parts)
        expected = sum((share * row for share, row in parts), np.zeros(4))
        expected = expected / total if parts else expected
        np.testing.assert_allclose(ours[i].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dims", "weight", "used"),
    [
        (Dims(audio=2, visual=2, text=2), 0.5, ("audio", "visual")),
        (Dims(audio=2, visual=2, text=2), 1.0, ("visual",)),
        (Dims(audio=2, visual=2, text=2), 0.0, ("audio",)),
        (Dims(audio=2, visual=3, text=3), 0.0, ("visual",)),
        (Dims(audio=2, visual=3, text=2), 1.0, ("audio",)),
        (Dims(audio=2, visual=2, text=4), 1.0, ("audio", "visual")),
    ],
)
def test_zero_shot_reads_the_text_by_its_size(
    dims: Dims, weight: float, used: tuple[str, ...]
) -> None:
    method = ZeroShot(ZeroShotConfig(visual_weight=weight), dims)
    text = {"audio": method.audio_text, "visual": method.visual_text}
    assert tuple(name for name, part in text.items() if part is not None) == used
    assert method.modalities == (used if len(used) == 1 else ())


@pytest.mark.parametrize(
    ("text", "lost"), [(3, "audio"), (5, "audio"), (5, "visual"), (2, "audio")]
)
def test_zero_shot_wants_no_more_of_a_store_than_it_reads(text: int, lost: str) -> None:
    sides = {
        name: Ragged(torch.zeros(0, dim), torch.zeros(7, dtype=torch.long), torch.zeros(0))
        if name == lost
        else Ragged.pooled(torch.randn(6, dim))
        for name, dim in (("audio", 2), ("visual", 3))
    }
    clips = FeatureSet(
        **sides, labels=torch.arange(6) % 2, clips=tuple("abcdef"), classes=("x", "y")
    )
    method = ZeroShot(ZeroShotConfig(), Dims(audio=2, visual=3, text=text))

    def begin() -> Trainer:
        return Trainer(method, clips, torch.randn(2, text), TrainingConfig())

    if text == 2:  # the text of audio alone
        with pytest.raises(
            EzavError, match="no training clip has audio features; Frozen zero-shot needs it"
        ):
            begin()
    else:
        begin().run_epoch()


def test_zero_shot_refuses_a_foreign_text() -> None:
    with pytest.raises(EzavError, match="300 dimensions share no space"):
        ZeroShot(ZeroShotConfig(), Dims(audio=128, visual=4096, text=300))
