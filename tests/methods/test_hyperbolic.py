"""The hyperbolic geometry and alignment against Möbius addition, clip by clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.avca.config import AVCAConfig
from ezav.methods.avca.method import AVCA
from ezav.methods.base import Batch, Dims
from ezav.methods.hyperbolic.alignment import alignment_loss, kernel_matrix
from ezav.methods.hyperbolic.config import HyperbolicConfig
from ezav.methods.hyperbolic.method import Hyperbolic
from ezav.methods.hyperbolic.poincare import clip_to_ball, exp0, log0, tangent_distances
from tests.methods.fixtures import without_dropout


def mobius_add(x: np.ndarray, y: np.ndarray, c: float) -> np.ndarray:
    xy, xx, yy = x @ y, x @ x, y @ y
    top = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return top / (1 + 2 * c * xy + c**2 * xx * yy)


def ball_distance(x: np.ndarray, y: np.ndarray, c: float) -> float:
    return 2 / np.sqrt(c) * np.arctanh(np.sqrt(c) * np.linalg.norm(mobius_add(-x, y, c)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), c=st.floats(0.01, 3.0))
def test_distances_equal_mobius_addition(seed: int, c: float) -> None:
    u = np.random.default_rng(seed).normal(size=(4, 5)) * 0.6
    curvature = torch.tensor(c, dtype=torch.float64)
    points = exp0(torch.tensor(u), curvature).numpy()
    ours = tangent_distances(torch.tensor(u), curvature).numpy()
    for i in range(4):
        for j in range(4):
            if i != j:
                expected = ball_distance(points[i], points[j], c)
                assert ours[i, j] == pytest.approx(expected, rel=1e-6)
    assert (np.diag(ours) == 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), c=st.floats(0.01, 2.0))
def test_log_undoes_exp(seed: int, c: float) -> None:
    u = torch.tensor(np.random.default_rng(seed).normal(size=(3, 4))) * 0.7
    curvature = torch.tensor(c, dtype=torch.float64)
    torch.testing.assert_close(log0(exp0(u, curvature), curvature), u)


def test_a_flat_ball_has_euclidean_distances() -> None:
    u = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flat = tangent_distances(u, torch.tensor(1e-9, dtype=torch.float64))
    # The metric at the origin is 4 times the Euclidean one.
    torch.testing.assert_close(flat, 2 * torch.cdist(u, u), rtol=1e-5, atol=1e-5)


def test_clipping_leaves_the_inside_alone() -> None:
    c = torch.tensor(0.25)
    inside, outside = torch.tensor([1.9, 0.0]), torch.tensor([0.0, 7.0])
    assert torch.equal(clip_to_ball(inside, c), inside)
    torch.testing.assert_close(clip_to_ball(outside, c), torch.tensor([0.0, 2 * 0.999]))


def batch_kernel(x: np.ndarray, c: np.ndarray, kernel: str) -> np.ndarray:
    """Kernel matrices by loops, from the words of the README."""
    n, d = x.shape
    if kernel == "geodesic":
        matrix = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    mean = torch.tensor((c[i] + c[j]) / 2)
                    p, q = (exp0(torch.tensor(x[k] / np.sqrt(d)), mean).numpy() for k in (i, j))
                    matrix[i, j] = ball_distance(p, q, float(mean))
        return matrix / matrix.mean()
    mapped = []
    for row, curvature in zip(x, c):
        limit = (1 - 1e-3) / np.sqrt(curvature)
        norm = np.linalg.norm(row)
        y = row if norm <= limit else row / norm * limit
        r = np.linalg.norm(y)
        root = np.sqrt(curvature)
        mapped.append(y / r * np.arctanh(min(root * r, 1 - 1e-5)) / root)
    m = np.array(mapped)
    norms = np.linalg.norm(m, axis=1)
    products = norms[:, None] * norms[None]
    return m @ m.T / products if kernel == "cosine" else products


@pytest.mark.parametrize("kernel", ["geodesic", "cosine", "norm_product"])
def test_alignment_against_loops(kernel: str) -> None:
    rng = np.random.default_rng(3)
    a, v = np.abs(rng.normal(size=(5, 6))) * 2, np.abs(rng.normal(size=(5, 6))) * 2
    c = rng.uniform(0.05, 0.4, size=(5, 2))
    expected = np.mean(
        [
            np.mean((batch_kernel(a, c[:, k], kernel) - batch_kernel(v, c[:, k], kernel)) ** 2)
            for k in range(2)
        ]
    )
    ours = alignment_loss(torch.tensor(a), torch.tensor(v), torch.tensor(c), kernel)
    assert float(ours) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kernel", ["geodesic", "cosine", "norm_product"])
def test_half_precision_aligns_like_full(kernel: str) -> None:
    g = torch.Generator().manual_seed(0)
    a, v = (torch.rand(6, 8, generator=g) * 6 for _ in range(2))  # most of them outside the ball
    c = torch.full((6, 1), 0.2)
    full = alignment_loss(a, v, c, kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = alignment_loss(*(one.bfloat16() for one in (a, v, c)), kernel)
    assert float(half) == pytest.approx(float(full), rel=0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("kernel", "matters"), [("geodesic", True), ("cosine", False), ("norm_product", True)]
)
def test_whether_curvature_matters(kernel: str, matters: bool) -> None:
    x = torch.rand(6, 8, generator=torch.Generator().manual_seed(1)) * 3
    low, high = (kernel_matrix(x, torch.full((6,), c), kernel) for c in (0.05, 0.8))
    assert bool((low - high).abs().max() > 1e-2) == matters


@pytest.mark.parametrize("curvatures", [0, 1, 3])
def test_loss_is_avcas_and_the_alignment(curvatures: int) -> None:
    torch.manual_seed(0)
    sizes = {"encoder_hidden": 6, "decoder_hidden": 6, "token_dim": 8, "head_dim": 4, "out_dim": 5}
    dims = Dims(audio=3, visual=4, text=5)
    config = HyperbolicConfig(curvatures=curvatures, alignment_weight=0.5, **sizes)
    method = Hyperbolic(config, dims)
    plain = AVCA(AVCAConfig(**sizes), dims)
    state = {k: v for k, v in method.state_dict().items() if "curvatures" not in k}
    plain.load_state_dict(state)
    for module in (method, plain):
        without_dropout(module.train())

    def batch(seed: int, negative: Batch | None = None) -> Batch:
        g = torch.Generator().manual_seed(seed)
        return Batch(
            audio=Tokens.pooled(torch.randn(7, 3, generator=g)),
            visual=Tokens.pooled(torch.randn(7, 4, generator=g)),
            labels=torch.randint(0, 4, (7,), generator=g),
            class_embeddings=torch.eye(5)[:4],
            negative=negative,
        )

    whole = batch(0, batch(1))
    loss, expected = method.loss(whole), plain.loss(whole)
    alignment = loss.parts.pop("alignment")
    assert set(loss.parts) == set(expected.parts)
    torch.testing.assert_close(loss.total, expected.total + alignment)
    assert alignment > 0
    if curvatures:
        loss.total.backward()
        assert method.network.curvatures.linear.weight.grad.abs().max() > 0
        c = method.network.curvatures(torch.randn(4, 8), torch.randn(4, 8))
        assert c.shape == (4, curvatures)
        assert 0 < float(c.min()) <= float(c.max()) < config.curvature


def test_a_learned_curvature_never_reaches_zero() -> None:
    method = Hyperbolic(
        HyperbolicConfig(curvature=0.5, token_dim=8), Dims(audio=3, visual=4, text=5)
    )
    curvatures = method.network.curvatures
    torch.nn.init.constant_(curvatures.linear.bias, -200.0)
    c = curvatures(torch.zeros(2, 8), torch.zeros(2, 8))
    assert torch.equal(c, torch.full((2, 2), 0.5 * 1e-3))


def test_curvature_must_be_positive() -> None:
    with pytest.raises(EzavError, match="curvature must be positive"):
        HyperbolicConfig(curvature=0.0)
