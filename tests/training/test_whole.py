"""The whole training set as one mean token a clip, without a copy where that is possible."""

from __future__ import annotations

import pytest
import torch

from ezav.features.feature_set import Ragged
from ezav.training.trainer import whole


def ragged(*lengths: int) -> Ragged:
    g = torch.Generator().manual_seed(0)
    clips = [
        (torch.randn(n, 3, generator=g), torch.arange(n) + 0.5) if n else None for n in lengths
    ]
    return Ragged.from_clips(clips)


@pytest.mark.parametrize("lengths", [(1, 1, 1), (1, 0, 1), (2, 0, 1), (0, 2, 1), (3, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_it_is_the_mean_of_each_clip(lengths, dtype):
    features = ragged(*lengths)
    features = Ragged(features.values.to(dtype), features.offsets, features.times)
    tokens = whole(features)
    assert tokens.values.dtype == torch.float32
    for row, length in enumerate(lengths):
        start = int(features.offsets[row])
        own = features.values[start : start + length].float()
        expected = own.mean(0) if length else torch.zeros(3)
        assert torch.allclose(tokens.values[row, 0], expected)
        assert tokens.mask[row].tolist() == [length > 0]


def test_single_tokens_are_not_copied():
    features = ragged(1, 1, 1)
    assert whole(features).values.data_ptr() == features.values.data_ptr()
