"""The settings of class embedding optimization, said once for functions, runs and commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ezav.classes.objective import ObjectiveSettings, Ranking, Scaling, Semantic
from ezav.errors import EzavError


@dataclass(frozen=True, kw_only=True)
class CeoSettings(ObjectiveSettings):
    """What is minimised, and how: every setting of class embedding optimization.

    Raises:
        EzavError: a setting out of range, an unknown word.

    Example:
        >>> CeoSettings(alpha=0.2).margin
        0.1
        >>> CeoSettings(alpha=2)
        Traceback (most recent call last):
        ezav.errors.EzavError: alpha is 2; it weighs two terms: give 0 to 1
    """

    center: bool = False
    """Take the mean of the classes off their text embeddings first: orders are then kept relative
    to the centred ones."""
    part_equal: bool = False
    """Part classes that have one and the same text embedding, in directions that follow from their
    names alone. Else they keep one embedding: what the text does not tell apart stays together."""
    learning_rate: float = 0.1
    """Begin with this step size, in radians a class and step."""
    tolerance: float = 3e-4
    """Stop when ten steps gain less than this share of the progress so far."""
    max_steps: int = 3_000
    """Give up after so many steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.learning_rate > 0 or not self.tolerance > 0 or self.max_steps < 1:
            raise EzavError("`learning_rate`, `tolerance` and `max_steps` must be positive")


class CeoChanges(TypedDict, total=False):
    """Fields of :class:`CeoSettings` by name, for calls that set a few; a test compares them."""

    alpha: float
    margin: float
    semantic: Semantic
    ranking: Ranking
    samples: int
    reduction: Scaling
    center: bool
    part_equal: bool
    learning_rate: float
    tolerance: float
    max_steps: int
