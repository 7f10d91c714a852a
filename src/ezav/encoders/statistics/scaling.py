"""Blocks of statistics of very different units, brought to one bounded size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ezav.errors import EzavError


def squash(values: np.ndarray, scale: float) -> np.ndarray:
    """`tanh(values / scale)`: close to linear below `scale`, bounded by 1.

    Example:
        >>> squash(np.array([0.0, 2.0, 1e9]), 2.0).round(2).tolist()
        [0.0, 0.76, 1.0]
    """
    return np.tanh(np.asarray(values) / scale)


def root_histogram(counts: np.ndarray) -> np.ndarray:
    """Square roots of the shares (last axis), stretched to a root mean square of 0.5.

    The Euclidean distance of two such rows is proportional to the Hellinger distance of the
    histograms. An empty histogram gives zeros.

    Example:
        >>> root_histogram(np.array([1.0, 0.0, 3.0, 0.0])).round(3).tolist()
        [0.5, 0.0, 0.866, 0.0]
    """
    counts = np.maximum(counts, 0.0)
    total = counts.sum(axis=-1, keepdims=True)
    scaled: np.ndarray = 0.5 * np.sqrt(counts.shape[-1] * counts / np.maximum(total, 1e-12))
    return scaled


def scaled_blocks(blocks: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    """Join blocks `[…, n_b]` in the order of `sizes`, float32 `[…, Σ n_b]`.

    The blocks come from :func:`squash` or :func:`root_histogram`, so that in each of them an
    entry's typical size is a half and none is large.

    Raises:
        EzavError: a block has another size than declared, or holds NaN.

    Example:
        >>> scaled_blocks({"a": np.ones((2, 1)), "b": np.zeros((2, 3))}, {"b": 3, "a": 1}).tolist()
        [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
        >>> scaled_blocks({"a": np.ones((2, 1))}, {"a": 4})
        Traceback (most recent call last):
        ezav.errors.EzavError: statistics block 'a' has 1 entries, not 4
    """
    parts = []
    for name, size in sizes.items():
        block = np.asarray(blocks[name])
        if block.shape[-1] != size:
            raise EzavError(f"statistics block '{name}' has {block.shape[-1]} entries, not {size}")
        parts.append(block)
    joined = np.concatenate(parts, axis=-1).astype(np.float32)
    if not np.isfinite(joined).all():
        raise EzavError("statistics gave NaN or infinite values")
    return joined
