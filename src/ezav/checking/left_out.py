"""A ridge classifier's scores of clips that it was not fitted on: every source left out once.

Nothing is fitted again. What a ridge regression says of a block of rows that it has not seen
follows from what it says of them when it has: `Y - (I - H)^-1 (Y - H Y)`, H being the block of
the hat matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ezav.errors import EzavError

_LARGEST = 2000
"""Clips of one source that are left out together; of more, as many at a time."""


def left_out_scores(
    inputs: Tensor,
    targets: Tensor,
    groups: Sequence[str],
    *,
    ridge: float = 1.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Scores float64 `[N, C]`; the model of a clip was fitted on the clips of other groups.

    Solved over clips or over dimensions, whichever are fewer, in float64.

    Args:
        inputs: `[N, D]`, the clips.
        targets: `[N, C]`, what the scores should be.
        groups: what each clip was cut from.
        ridge: penalty, above 0.
        weights: `[N]`, above 0; None: every clip weighs 1.

    Raises:
        EzavError: the ridge is not above 0.

    Example:
        >>> clips = torch.tensor([[1.0], [1.0], [1.0]])
        >>> left_out_scores(clips, torch.tensor([[0.0], [1.0], [1.0]]), ["a", "b", "c"]).T
        tensor([[0.6667, 0.3333, 0.3333]], dtype=torch.float64)
    """
    if not ridge > 0:
        raise EzavError(f"a ridge of {ridge:g} has no solution", "give one above 0")
    root = torch.ones(len(inputs)) if weights is None else weights.sqrt()
    root = root.double()[:, None]
    x, y = inputs.double() * root, targets.double() * root
    blocks: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        blocks.setdefault(group, []).append(row)
    if len(x) <= x.shape[1]:
        gram = x @ x.T
        hat = torch.linalg.solve(gram + ridge * torch.eye(len(x), dtype=x.dtype), gram)
        left, right = hat, None
    else:
        gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
        left, right = torch.linalg.solve(gram, x.T).T, x.T
    fitted = left @ y if right is None else left @ (right @ y)
    found = torch.empty_like(y)
    for rows in blocks.values():
        for part in torch.split(torch.tensor(rows), _LARGEST):
            block = left[part][:, part] if right is None else left[part] @ right[:, part]
            own = torch.eye(len(part), dtype=x.dtype) - block
            missed = torch.linalg.solve(own, y[part] - fitted[part])
            found[part] = y[part] - missed
    return found / root
