"""An order of classes in which similar ones are neighbours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_TURNED = 500


def cluster_order(vectors: Tensor) -> list[int]:
    """Rows of vectors `[C, d]` in the leaf order of average-linkage clustering by cosine.

    Up to 500 classes the leaves are turned so that neighbours are as alike as can be.

    Example:
        >>> e = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.99, 0.1411]])
        >>> cluster_order(e) in ([1, 2, 0], [0, 2, 1], [1, 0, 2], [2, 0, 1])
        True
    """
    if len(vectors) < 3:
        return list(range(len(vectors)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    distance = (1 - unit @ unit.T).clamp(min=0).numpy()
    np.fill_diagonal(distance, 0)
    condensed = squareform((distance + distance.T) / 2, checks=False)
    tree = linkage(condensed, "average", optimal_ordering=len(vectors) <= _TURNED)  # cubic
    return [int(leaf) for leaf in leaves_list(tree)]


def seen_first(order: list[int], seen: Tensor) -> list[int]:
    """The same order within seen and within unseen classes, seen ones first.

    Example:
        >>> import torch
        >>> seen_first([1, 2, 0], seen=torch.tensor([True, False, True]))
        [2, 0, 1]
    """
    return [c for c in order if seen[c]] + [c for c in order if not seen[c]]
