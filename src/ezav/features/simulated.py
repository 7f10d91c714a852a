"""What every table, page and card says of results on simulated features."""

from __future__ import annotations

SIMULATED = "SIMULATED DATA"
"""The mark, where there is room for no more."""


def simulated_banner(where: str = "") -> str:
    """The mark and what it means, in one sentence.

    Args:
        where: which results it is about, where not all of them are simulated.

    Example:
        >>> simulated_banner("UCF")[:46]
        'SIMULATED DATA (UCF): the features are random '
    """
    about = f" ({where})" if where else ""
    return (
        f"{SIMULATED}{about}: the features are random numbers of the right shape; "
        "nothing here says how well anything is recognised."
    )
