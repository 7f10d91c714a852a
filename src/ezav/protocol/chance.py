"""What a guess reaches that never looks at the clip: the floor of every table."""

from __future__ import annotations

import math

from ezav.protocol.result import Metrics


def chance(seen: int, unseen: int) -> Metrics:
    """The best expected scores of a guess among `seen` + `unseen` candidate classes.

    A guess that names some seen class with probability p, each equally often, has
    `S = p / n_s` and `U = (1 - p) / n_u`. Their harmonic mean is largest at
    `p = √n_s / (√n_s + √n_u)`, where `HM = 2 / (√n_s + √n_u)²`: not 1/C. AUSUC is the area under
    the line from `(1/n_s, 0)` to `(0, 1/n_u)`. Without unseen classes there is S alone, `1 / n_s`;
    the others are nan.

    Example:
        >>> scores = chance(seen=4, unseen=1)
        >>> round(scores.HM, 4), scores.ZSL, scores.AUSUC
        (0.2222, 1.0, 0.125)
    """
    if not unseen:
        return Metrics(S=1 / seen, U=math.nan, HM=math.nan, ZSL=math.nan, AUSUC=math.nan)
    root = math.sqrt(seen) + math.sqrt(unseen)
    return Metrics(
        S=1 / (math.sqrt(seen) * root),
        U=1 / (math.sqrt(unseen) * root),
        HM=2 / root**2,
        ZSL=1 / unseen,
        AUSUC=0.5 / (seen * unseen),
    )
