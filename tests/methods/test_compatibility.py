"""ALE, DeViSE and SJE against loops over the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Batch, Dims
from ezav.methods.common.compatibility import CompatibilityConfig, hinges

MARGIN = 0.1


def naive(name: str, scores: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for row, label in zip(scores, labels):
        h = [max(0.0, MARGIN + s - row[label]) for c, s in enumerate(row) if c != label]
        if name == "devise":
            total += sum(h)
        elif name == "sje":
            total += max(h)
        else:
            rank = sum(x > 0 for x in h)
            if rank:
                total += sum(1 / k for k in range(1, rank + 1)) / rank * sum(h)
    return total / len(scores)


def make(name: str, **config) -> object:
    torch.manual_seed(0)
    dims = Dims(audio=3, visual=4, text=5)
    return registry.get(name)(CompatibilityConfig(margin=MARGIN, **config), dims)


@pytest.mark.parametrize("name", ["ale", "devise", "sje"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 8))
def test_ranking_loss_is_the_papers(name: str, seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(4, classes)) * 0.2
    labels = rng.integers(0, classes, 4)
    violations = hinges(torch.tensor(scores), torch.tensor(labels), MARGIN)
    assert float(make(name).ranking_loss(violations)) == pytest.approx(
        naive(name, scores, labels), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("name", ["ale", "devise", "sje"])
def test_loss_of_a_batch_and_scores(name: str) -> None:
    method = make(name, dropout=0.0, normalization="joint")
    rng = np.random.default_rng(0)
    a, v, w = rng.normal(size=(6, 3)), rng.normal(size=(6, 4)), rng.normal(size=(5, 5))
    labels = rng.integers(0, 5, 6)
    audio, visual = (Tokens.pooled(torch.tensor(x).float()) for x in (a, v))
    classes = torch.tensor(w).float()
    x = np.concatenate([v, a], axis=1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mapped = x @ method.network.map.weight.detach().double().numpy().T
    batch = Batch(audio=audio, visual=visual, labels=torch.tensor(labels), class_embeddings=classes)
    expected = naive(name, mapped @ w.T, labels)
    assert float(method.loss(batch).total.detach()) == pytest.approx(expected, rel=1e-4)
    distances = [[np.linalg.norm(row - c) for c in w] for row in mapped]
    scores = method.eval().scores(audio, visual, classes)
    np.testing.assert_allclose(scores.detach().numpy(), -np.array(distances), atol=1e-5)


def test_ale_weights_carry_no_gradient() -> None:
    violations = torch.tensor([[0.0, 0.5, 0.3]], requires_grad=True)
    make("ale").ranking_loss(violations).backward()
    assert violations.grad.tolist() == [[0.75, 0.75, 0.75]]
