"""Dropout and other small parts that several methods share."""

from __future__ import annotations

import pytest
import torch

from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.scoring import negative_distance


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_drops_with_its_probability_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    n = 400_000
    x = torch.full((n // 100, 100), 3.0)
    out = Dropout(p)(x)
    zero = out == 0
    # Five standard deviations of a binomial.
    assert abs(float(zero.float().mean()) - p) < 5 * (p * (1 - p) / n) ** 0.5
    torch.testing.assert_close(
        out[~zero], torch.full_like(out[~zero], 3 / (1 - p)), rtol=1e-4, atol=0
    )
    # Neighbours, which share random words, are independent: so is every eighth.
    for shift in (1, 2, 3, 4, 8):
        both = (zero.flatten()[shift:] & zero.flatten()[:-shift]).float().mean()
        assert abs(float(both) - p * p) < 5 * (p * p / n) ** 0.5


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (0, 4)])
def test_dropout_of_odd_sizes_and_its_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_dropout_rests_in_evaluation_and_follows_the_seed() -> None:
    x = torch.randn(50)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(Dropout(1.0)(x), torch.zeros(50))
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(Dropout(0.5)(x))
    assert torch.equal(*draws)


def test_distances_are_the_same_in_an_exported_network() -> None:
    class Distances(torch.nn.Module):
        def forward(self, samples: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
            return negative_distance(samples, classes)

    inputs = torch.randn(5, 7), torch.randn(3, 7)
    exported = torch.export.export(Distances(), inputs)
    operations = {str(node.target) for node in exported.graph.nodes}
    assert not any("cdist" in operation for operation in operations)  # ONNX has none
    torch.testing.assert_close(exported.module()(*inputs), negative_distance(*inputs))


def test_batch_norm_is_torchs_from_two_rows_on_and_rests_below() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(5, momentum=0.3), torch.nn.BatchNorm1d(5, momentum=0.3)
    for rows in (2, 3, 40):
        x = torch.randn(rows, 5)
        assert torch.equal(ours(x), theirs(x))
    statistics = {name: value.clone() for name, value in ours.state_dict().items()}
    row = torch.randn(1, 5)
    single, none = ours(row), ours(row[:0])
    assert none.shape == (0, 5)
    assert all(torch.equal(ours.state_dict()[name], old) for name, old in statistics.items())
    assert torch.equal(single, theirs.eval()(row))
    assert torch.equal(single, ours.eval()(row))


def test_a_single_clip_passes_side_by_side_as_one_by_one() -> None:
    torch.manual_seed(0)
    net = EmbeddingNet(4, 3, hidden_dim=5)
    net(torch.randn(20, 4))
    sides = torch.randn(1, 2, 4)
    expected = torch.stack([net(side) for side in sides.unbind(1)], dim=1)
    torch.testing.assert_close(net.sides(sides), expected)
