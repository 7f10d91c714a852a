"""Blending against a loop, and its weight against brute force."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ezav.errors import EzavError, RefusedError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Dims, HeldOut, Method
from ezav.methods.blending.method import Blending, BlendingConfig
from ezav.methods.blending.weight import best_weight, blend
from ezav.methods.eszsl.method import ESZSL, ESZSLConfig

DIMS = Dims(audio=2, visual=3, text=5)


def random_scores(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 6, 60)
    truth = np.eye(6)[targets]
    trained = truth + rng.normal(size=(60, 6))
    trained[:, :3] += 1.5
    frozen = 0.01 * (1.6 * truth + rng.normal(size=(60, 6)))
    seen = np.array([True] * 3 + [False] * 3)
    return tuple(map(torch.tensor, (trained, frozen, targets, seen)))


def test_blend_clip_by_clip() -> None:
    trained, frozen, _, _ = random_scores(0)
    ours = blend(trained, frozen, 0.3).numpy()
    for i in range(60):
        t, f = trained[i].numpy(), frozen[i].numpy()
        expected = 0.7 * (t - t.mean()) / t.std() + 0.3 * (f - f.mean()) / f.std()
        np.testing.assert_allclose(ours[i], expected)


def brute_force_hm(scores: np.ndarray, targets: np.ndarray, seen: np.ndarray) -> float:
    """The best HM over a grid of gamma so fine that it meets every prediction."""
    best = 0.0
    margins = scores[:, seen].max(1) - scores[:, ~seen].max(1)
    for gamma in np.concatenate([margins - 1e-9, margins + 1e-9]):
        predicted = (scores - gamma * seen).argmax(1)
        recall = [(predicted[targets == c] == c).mean() for c in range(6)]
        s, u = np.mean(np.array(recall)[seen]), np.mean(np.array(recall)[~seen])
        best = max(best, 2 * s * u / (s + u) if s + u else 0.0)
    return best


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weight_is_the_best_of_its_grid(seed: int) -> None:
    trained, frozen, targets, seen = random_scores(seed)
    weight = best_weight([(trained, frozen, targets, seen)])
    hms = [
        brute_force_hm(blend(trained, frozen, w / 20).numpy(), targets.numpy(), seen.numpy())
        for w in range(21)
    ]
    assert weight == pytest.approx(int(np.argmax(np.round(hms, 10))) / 20)
    assert max(hms) > hms[0]


def test_weight_is_learned_once_and_needed_before() -> None:
    config = BlendingConfig(trained="devise", trained_config={"dropout": 0.0})
    method = Blending(config, DIMS).eval()
    assert method.trained.config.dropout == 0.0
    clips = Tokens.pooled(torch.randn(4, 2)), Tokens.pooled(torch.randn(4, 3))
    with pytest.raises(EzavError, match="not learned yet"):
        method.scores(*clips, torch.randn(6, 5))
    trained, frozen, targets, seen = random_scores(1)

    def score(part: Method) -> torch.Tensor:
        assert part in (method.trained, method.frozen)
        return trained if part is method.trained else frozen

    method.learn_on_validation(score, targets, seen)
    assert float(method.weight_) == pytest.approx(best_weight([(trained, frozen, targets, seen)]))
    classes = torch.randn(6, 5)
    parts = (part.scores(*clips, classes) for part in (method.trained, method.frozen))
    torch.testing.assert_close(method.scores(*clips, classes), blend(*parts, method.weight_))


def test_the_trained_method_learns_on_validation_too() -> None:
    g = torch.Generator().manual_seed(0)
    classes, labels = torch.randn(6, 5, generator=g), torch.arange(40) % 4
    targets, seen = torch.arange(60) % 6, torch.arange(6) < 4

    def clips(of: torch.Tensor) -> tuple[Tokens, Tokens]:
        x = classes[of] + torch.randn(len(of), 5, generator=g)
        return Tokens.pooled(x[:, 3:]), Tokens.pooled(x[:, :3])

    train, validation = clips(labels), clips(targets)
    config = BlendingConfig(trained="eszsl")

    def fresh() -> Blending:
        method = Blending(config, DIMS)
        method.prepare(*train, labels, classes[:4])
        return method

    first, second = fresh(), fresh()
    alone = registry.get("eszsl")(first.trained.config, DIMS)
    alone.prepare(*train, labels, classes[:4])
    alone.learn_on_validation(lambda part: part.scores(*validation, classes), targets, seen)
    first.learn_on_validation(lambda part: part.scores(*validation, classes), targets, seen)
    assert torch.equal(first.trained.exponents_, alone.exponents_)
    second.take_over({name: first.get_buffer(name).clone() for name in first.from_validation})
    assert torch.equal(second.scores(*validation, classes), first.scores(*validation, classes))


def test_class_folds_give_one_weight_and_the_trained_methods_penalties() -> None:
    g = torch.Generator().manual_seed(0)
    classes, labels = torch.randn(6, 5, generator=g), torch.arange(60) % 6
    x = classes[labels] + 2 * torch.randn(60, 5, generator=g)
    clips = Tokens.pooled(x[:, 3:]), Tokens.pooled(x[:, :3])
    held = FeatureSet(
        Ragged.pooled(x[:, 3:]), Ragged.pooled(x[:, :3]), labels, ("",) * 60, tuple("abcdef")
    )

    def folds(make: Callable[[], Method]) -> list[HeldOut]:
        made = []
        for part in range(3):
            method, seen = make(), torch.arange(6) % 3 != part
            rows = (seen[labels] & (torch.arange(60) < 30)).nonzero()[:, 0]
            own = (seen.cumsum(0) - 1)[labels[rows]]
            method.prepare(clips[0][rows], clips[1][rows], own, classes[seen])
            made.append(HeldOut(method, held, classes, seen, lambda p: p.scores(*clips, classes)))
        return made

    config = BlendingConfig(trained="eszsl")
    ours, alone = folds(lambda: Blending(config, DIMS)), folds(lambda: ESZSL(ESZSLConfig(), DIMS))
    first, other = ours[0].method, alone[0].method
    first.learn_on_folds(ours)
    other.learn_on_folds(alone)
    assert torch.equal(first.get_buffer("trained.exponents_"), other.get_buffer("exponents_"))
    learned = {"exponents_": other.get_buffer("exponents_").clone()}
    hms = []
    for weight in range(21):
        found = []
        for fold, one in zip(ours, alone, strict=True):
            one.method.take_over(learned)
            scores = blend(one.score(one.method), fold.score(fold.method.frozen), weight / 20)
            found.append(brute_force_hm(scores.numpy(), labels.numpy(), fold.seen.numpy()))
        hms.append(round(np.mean(found), 6))
    assert float(first.get_buffer("weight_")) == pytest.approx(int(np.argmax(hms)) / 20)
    assert 0 < np.argmax(hms) < 20


def test_a_fixed_weight_is_left_alone() -> None:
    method = Blending(BlendingConfig(trained="devise", weight=0.25), DIMS)
    method.learn_on_validation(lambda part: torch.zeros(0), torch.zeros(0), torch.zeros(0))
    assert float(method.weight_) == 0.25


def test_the_trained_method_answers_the_loop() -> None:
    negatives = Blending(BlendingConfig(trained="avca"), DIMS)
    assert negatives.needs_negatives
    assert not negatives.uses_time
    temporal = Blending(BlendingConfig(trained="tcaf", trained_config={"depth": 1}), DIMS)
    assert temporal.uses_time
    assert not temporal.needs_negatives
    assert not Blending(BlendingConfig(trained="eszsl"), DIMS).trainable
    assert negatives.modalities == ("audio", "visual")
    for chosen in ("audio", "visual"):
        by_one = BlendingConfig(trained="clipclap", trained_config={"modality": chosen})
        assert Blending(by_one, DIMS).modalities == (chosen,)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"trained": "blending"}, "cannot blend itself"),
        ({"weight": 1.5}, "outside"),
        (
            {"trained": "ez_avgzl", "trained_config": {"classes": {"source": "raw"}}},
            "trained_config.classes cannot apply",
        ),
        ({"trained": "devsie"}, "did you mean 'devise'"),
        ({"trained": "devise", "trained_config": {"margin": "wide"}}, "trained_config.margin"),
        (
            {"trained": "devise", "trained_config": {"dropuot": 0.5}},
            "trained_config has no field 'dropuot'; it has: dropout, margin",
        ),
    ],
)
def test_mistakes_are_told(config: dict, words: str) -> None:
    with pytest.raises(EzavError, match=words):
        Blending(BlendingConfig(**config), DIMS)


def test_a_name_alone_never_imports(tmp_path, monkeypatch) -> None:
    (tmp_path / "foreign_part.py").write_text(
        "from ezav.methods.devise.method import METHOD as Part\nprint('code ran')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = BlendingConfig(trained="foreign_part:Part")
    with pytest.raises(RefusedError, match="takes the methods of ezav, not 'foreign_part:Part'"):
        Blending(config, DIMS)
    assert "foreign_part" not in sys.modules
