"""The learned stack: its members by their equations, its logit by scipy's minimum, its labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.best.logit import SHARPNESS, FoldScores, Stack, fit_stack, single, worth_of
from ezav.methods.best.method import Best, BestConfig
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.metrics import seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma

AUDIO, VISUAL, TEXT, CLIPS, SEEN, NAMES = 4, 6, 5, 20, 4, 7


def rows(count: int, dim: int, seed: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


AUDIO_ROWS, VISUAL_ROWS, CLASSES = (
    rows(CLIPS, AUDIO, 0) * 9 + 3,
    rows(CLIPS, VISUAL, 1),
    rows(NAMES, TEXT, 2),
)
PRESENT = torch.arange(CLIPS) % 5 != 0
LABELS = torch.arange(CLIPS) % SEEN
AUDIO_CLIPS = Tokens.pooled(AUDIO_ROWS * PRESENT[:, None], PRESENT)
VISUAL_CLIPS = Tokens.pooled(VISUAL_ROWS)
HEAD = LabelHead("visual", rows(3, VISUAL, 4), rows(1, 3, 5)[0], rows(3, TEXT, 6))


@pytest.fixture
def fitted() -> Best:
    method = Best(BestConfig(), Dims(audio=AUDIO, visual=VISUAL, text=TEXT))
    method.know_labels(HEAD)
    method.prepare(AUDIO_CLIPS, VISUAL_CLIPS, LABELS, CLASSES[:SEEN])
    return method


def unit(v: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def standardised(values: Tensor, present: Tensor) -> list[list[float]]:
    """One modality by loops: (x - mean) / (sd + a tenth of the mean sd), unit; zeros if missing."""
    table = values.double().tolist()
    have = [row for row, is_there in zip(table, present.tolist(), strict=True) if is_there]
    mean = [sum(column) / len(have) for column in zip(*have, strict=True)]
    spread = [
        math.sqrt(sum((x - m) ** 2 for x in column) / len(have))
        for column, m in zip(zip(*have, strict=True), mean, strict=True)
    ]
    floor = 0.1 * sum(spread) / len(spread)
    return [
        unit([(x - m) / (s + floor) for x, m, s in zip(row, mean, spread, strict=True)])
        if is_there
        else [0.0] * len(row)
        for row, is_there in zip(table, present.tolist(), strict=True)
    ]


def naive_members() -> dict[str, Tensor]:
    """Each member on the training clips, for all names, before the division by its scale."""
    everywhere = torch.ones(CLIPS, dtype=torch.bool)
    x = torch.tensor(
        [
            a + v
            for a, v in zip(
                standardised(AUDIO_ROWS, PRESENT),
                standardised(VISUAL_ROWS, everywhere),
                strict=True,
            )
        ],
        dtype=torch.float64,
    )
    names = [unit(row) for row in CLASSES.double().tolist()]
    mean = [sum(column) / SEEN for column in zip(*names[:SEEN], strict=True)]
    names = [unit([a - m for a, m in zip(row, mean, strict=True)]) for row in names]
    one_hot = torch.zeros(CLIPS, SEEN, dtype=torch.float64)
    one_hot[torch.arange(CLIPS), LABELS] = 1
    kernel = x @ x.T
    b = kernel @ torch.inverse(kernel + torch.eye(CLIPS)) @ one_hot
    kernels = {
        "kernel": (lambda i, j: math.exp(2 * (dot(names[i], names[j]) - 1)), 0.3),
        "linear": (lambda i, j: dot(names[i], names[j]), 1.0),
        "identity": (lambda i, j: dot(names[i], names[j]) + 3 * (i == j), 1.0),
    }
    found = {}
    for name, (k, ridge) in kernels.items():
        own = torch.tensor([[k(i, j) for j in range(SEEN)] for i in range(SEEN)]).double()
        other = torch.tensor([[k(i, j) for j in range(NAMES)] for i in range(SEEN)]).double()
        found[name] = b @ torch.inverse(own + ridge * torch.eye(SEEN)) @ other
    said, probabilities = [], []
    for row in VISUAL_ROWS.double():
        logits = [
            float(row @ w + c) / 1.5 for w, c in zip(HEAD.weight.double(), HEAD.bias.double())
        ]
        shares = [math.exp(value) / sum(map(math.exp, logits)) for value in logits]
        probabilities.append(shares)
        said.append(unit([dot(shares, column) for column in HEAD.vectors.double().T.tolist()]))
    middle = [sum(column) / CLIPS for column in zip(*said, strict=True)]
    said = [unit([a - m for a, m in zip(row, middle, strict=True)]) for row in said]
    found["words"] = torch.tensor([[dot(row, name) for name in names] for row in said]).double()
    usual = [sum(column) / CLIPS for column in zip(*probabilities, strict=True)]
    near = naive_nearness()
    found["labels"] = torch.tensor(
        [
            [math.log((dot(row, name) + 1e-6) / (dot(usual, name) + 1e-6)) for name in near]
            for row in probabilities
        ]
    ).double()
    return found


def naive_nearness() -> list[list[float]]:
    """For each name, how near each label is to it; the labels' mean is taken off both."""
    vectors = HEAD.vectors.double().tolist()
    mean = [sum(column) / len(column) for column in zip(*vectors, strict=True)]
    labels, names = (
        [unit([a - m for a, m in zip(unit(row), mean, strict=True)]) for row in rows]
        for rows in (vectors, CLASSES.double().tolist())
    )
    return [[math.exp(12 * (dot(label, name) - 1)) for label in labels] for name in names]


def test_every_member_equals_its_equation(fitted: Best) -> None:
    """`best` is checked member by member against loops and plain inverses."""
    expected = naive_members()
    assert fitted.names == tuple(expected)
    found = fitted.members(AUDIO_CLIPS, VISUAL_CLIPS, CLASSES)
    for column, one in enumerate(expected.values()):
        scale = one[:, :SEEN].std(correction=0)
        torch.testing.assert_close(found[:, :, column].double(), one / scale, rtol=2e-4, atol=2e-5)


def test_linear_member_is_eszsl(fitted: Best) -> None:
    """The same order of scores as the method ESZSL has on the same inputs and centred text."""
    from ezav.methods.eszsl.solution import BilinearRidge

    inputs = fitted.forms._inputs(AUDIO_CLIPS, VISUAL_CLIPS)
    ridge = BilinearRidge.of(inputs, LABELS, fitted.forms.classes_)
    v = ridge.solution(ridge.solved_for_features(1.0), 1.0)
    expected = inputs.double() @ v.double() @ fitted.forms.classes_.T.double()
    found = fitted.members(AUDIO_CLIPS, VISUAL_CLIPS, CLASSES[:SEEN])[:, :, 1]
    scale = float(fitted.scale_[1])
    torch.testing.assert_close(found.double() * scale, expected, rtol=1e-4, atol=1e-5)


def test_state_restores_a_stack_with_labels(fitted: Best) -> None:
    fitted.weights_.copy_(torch.tensor([0.3, 0.1, 0.2, 0.7, 0.4]))
    fitted.seen_weights_.copy_(torch.tensor([0.1, 0.0, -0.2, 0.1, 0.3]))
    other = Best(BestConfig(), Dims(audio=AUDIO, visual=VISUAL, text=TEXT))
    other.load_state_dict(fitted.state_dict())
    assert other.names == fitted.names
    clips = AUDIO_CLIPS, VISUAL_CLIPS, CLASSES
    torch.testing.assert_close(other.scores(*clips), fitted.scores(*clips))


def test_a_run_of_before_labels_were_a_member_is_read(fitted: Best) -> None:
    state = {name: value for name, value in fitted.state_dict().items() if "usual" not in name}
    for name in ("weights_", "seen_weights_", "worth_", "scale_"):
        state[name] = state[name][:4]
    other = Best(BestConfig(), Dims(audio=AUDIO, visual=VISUAL, text=TEXT))
    other.load_state_dict(state)
    assert other.names == fitted.names[:4]
    members = AUDIO_CLIPS, VISUAL_CLIPS, CLASSES
    torch.testing.assert_close(other.members(*members), fitted.members(*members)[:, :, :4])


def test_a_new_name_leaves_the_others_alone(fitted: Best) -> None:
    """A name typed later gets scores; those of the known names stay as they are."""
    new = torch.cat([CLASSES, rows(1, TEXT, 9)])
    before = fitted.scores(AUDIO_CLIPS, VISUAL_CLIPS, CLASSES)
    after = fitted.scores(AUDIO_CLIPS, VISUAL_CLIPS, new)
    torch.testing.assert_close(after[:, :NAMES], before)
    assert bool(after[:, NAMES].isfinite().all())


def test_seen_weights_reach_training_classes_only(fitted: Best) -> None:
    before = fitted.scores(AUDIO_CLIPS, VISUAL_CLIPS, CLASSES)
    fitted.seen_weights_.fill_(0.5)
    moved = (fitted.scores(AUDIO_CLIPS, VISUAL_CLIPS, CLASSES) - before).abs().amax(dim=0)
    assert bool((moved[:SEEN] > 1e-3).all())
    assert bool((moved[SEEN:] == 0).all())


def folds_of(seed: int, members: int = 3, count: int = 40) -> FoldScores:
    """Held-out clips of which the first member knows something and the others do not."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(6, (count,), generator=generator)
    targets[:6] = torch.arange(6)
    scores = torch.randn(count, 6, members, generator=generator)
    scores[torch.arange(count), targets, 0] += 2.0
    return FoldScores(scores, targets, torch.tensor([True] * 4 + [False] * 2))


def loss_of(theta: Tensor, folds: list[FoldScores], origin: Tensor, pull: float) -> Tensor:
    """The objective by loops: seen and unseen half each, classes of a side alike."""
    members = folds[0].members.shape[2]
    w, v, gamma = theta[:members], theta[members : 2 * members], theta[-1]
    total = pull * (SHARPNESS * (theta - origin)).square().sum()
    for fold in folds:
        for side in (True, False):
            classes = [c for c in set(fold.targets.tolist()) if bool(fold.seen[c]) == side]
            for c in classes:
                mine = (fold.targets == c).nonzero()[:, 0].tolist()
                for n in mine:
                    logits = torch.stack(
                        [
                            fold.members[n, k].double() @ w
                            + fold.seen[k] * (fold.members[n, k].double() @ v - gamma)
                            for k in range(len(fold.seen))
                        ]
                    )
                    share = 0.5 / len(classes) / len(mine) / len(folds)
                    total = total - share * (SHARPNESS * logits).log_softmax(0)[c]
    return total


def test_the_logit_is_the_minimum_that_another_optimizer_finds() -> None:
    folds, start = [folds_of(0), folds_of(1)], torch.tensor([0.2, 0.4, 0.0]).double()
    found = fit_stack(folds, start, gamma=1.0, pull=0.02)
    origin = torch.cat([start, torch.zeros(3).double(), torch.tensor([1.0]).double()])

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.tensor(at, requires_grad=True)
        value = loss_of(theta, folds, origin, 0.02)
        (slope,) = torch.autograd.grad(value, theta)
        return float(value.detach()), slope.numpy()

    expected = torch.from_numpy(minimize(loss, origin.numpy(), jac=True, method="BFGS").x)
    torch.testing.assert_close(found.weights, expected[:3], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.seen_weights, expected[3:6], atol=1e-4, rtol=0)
    assert float((expected - origin).abs().max()) > 0.1  # the check can fail


def test_a_strong_pull_keeps_the_start() -> None:
    start = torch.tensor([0.2, 0.4, 0.0]).double()
    found = fit_stack([folds_of(0)], start, gamma=1.0, pull=1e6)
    torch.testing.assert_close(found.weights, start, atol=1e-4, rtol=0)
    assert float(found.seen_weights.abs().max()) < 1e-4


def test_the_member_that_knows_is_worth_most() -> None:
    folds, start = [folds_of(0), folds_of(1)], torch.full((3,), 0.3).double()
    stack = fit_stack(folds, start, gamma=1.0, pull=0.01)
    worth = worth_of(folds, stack, start, 1.0, 0.01)
    assert worth[0].weight > 3 * max(abs(one.weight) for one in worth[1:])
    assert worth[0].alone > max(one.alone for one in worth[1:]) + 0.2
    assert worth[0].lost > 0.2 > max(one.lost for one in worth[1:])


def test_single_is_that_member() -> None:
    fold = folds_of(3)
    scores = single(1, 3).scores(fold.members.double(), fold.seen)
    torch.testing.assert_close(scores, fold.members[:, :, 1].double())


def test_a_fold_of_one_side_is_refused() -> None:
    fold = folds_of(0)
    with pytest.raises(EzavError, match="seen and of unseen"):
        FoldScores(fold.members, fold.targets.clamp(max=3), fold.seen)
    with pytest.raises(EzavError, match="other members"):
        fit_stack([fold], torch.zeros(2), 1.0, 1.0)
    with pytest.raises(EzavError, match="no class fold"):
        fit_stack([], torch.zeros(2), 1.0, 1.0)


def test_smoothed_gamma_against_a_dense_search() -> None:
    stack = Stack(torch.tensor([1.0, 0, 0]).double(), torch.zeros(3).double())
    parts = [
        (stack.scores(f.members.double(), f.seen), f.targets, f.seen)
        for f in (folds_of(0), folds_of(1))
    ]
    curves = [seen_unseen_curve(*part) for part in parts]

    def hm(gamma: float) -> float:
        pairs = [curve.at(gamma) for curve in curves]
        return sum(2 * s * u / (s + u) if s + u else 0.0 for s, u in pairs) / len(pairs)

    def around(gamma: float) -> float:
        steps = [gamma + d / 40 for d in range(-40, 41)]
        return sum(map(hm, steps)) / len(steps)

    found = smoothed_gamma(parts)
    assert pytest.approx(hm(found.gamma)) == found.HM
    assert found.around == pytest.approx(around(found.gamma), abs=0.02)
    best = max(around(step / 10) for step in range(-30, 60))
    assert found.around > best - 0.02


def test_a_silent_clip_has_no_words() -> None:
    words = LabelWords(AUDIO, VISUAL, TEXT)
    words.know(HEAD)
    blind = Tokens.pooled(VISUAL_ROWS, torch.zeros(CLIPS, dtype=torch.bool))
    assert float(words(AUDIO_CLIPS, blind).abs().max()) == 0
    assert float(words(AUDIO_CLIPS, VISUAL_CLIPS).abs().min()) > 0
    usual = torch.ones(3) / 3
    said = [words.shares(AUDIO_CLIPS, visual) for visual in (blind, VISUAL_CLIPS)]
    assert float(words.evidence(said[0], usual, CLASSES).abs().max()) == 0
    assert float(words.evidence(said[1], usual, CLASSES).abs().min()) > 0


def test_frozen_scores_need_text_of_the_features() -> None:
    with pytest.raises(EzavError, match="share no space"):
        Best(BestConfig(visual_weight=1.0), Dims(audio=AUDIO, visual=VISUAL, text=TEXT))
    with pytest.raises(EzavError, match="outside"):
        BestConfig(visual_weight=2.0)
    with pytest.raises(EzavError, match="negative"):
        BestConfig(pull=-1.0)
