"""The trade-off of CEO made visible: separation against semantics, over α and the margin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ezav.classes.diagnostics import Diagnostics, diagnose
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe

ALPHAS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
MARGINS = (0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One recipe and where its embeddings stand against the text embeddings."""

    recipe: ClassEmbeddingRecipe
    diagnostics: Diagnostics

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the setting and the numbers of the curve."""
        d = self.diagnostics
        return {
            "source": self.recipe.source,
            "alpha": self.recipe.alpha,
            "margin": self.recipe.margin,
            "min_nearest": d.min_nearest,
            "mean_nearest": d.mean_nearest,
            "simplex_bound": d.simplex_bound,
            "orderings_kept": d.orderings_kept,
            "spearman_mean": d.spearman_mean,
            "cosine_mean": d.cosine_mean,
        }


def tradeoff(
    t: ClassEmbeddings,
    recipes: Iterable[ClassEmbeddingRecipe],
    *,
    on_point: Callable[[TradeoffPoint], None] | None = None,
) -> list[TradeoffPoint]:
    """Carry out each recipe on text embeddings `t` and diagnose the result.

    Args:
        recipes: say `ClassEmbeddingRecipe().candidates(ALPHAS, MARGINS)`.
        on_point: called after each, to show progress.

    Example:
        >>> import torch
        >>> t = ClassEmbeddings(tuple("abcdef"), torch.randn(6, 9) + 1)
        >>> points = tradeoff(t, ClassEmbeddingRecipe().candidates(alphas=(0.5,)))
        >>> [point.recipe.source for point in points]
        ['raw', 'ceo']
    """
    points = []
    for recipe in recipes:
        point = TradeoffPoint(recipe, diagnose(recipe.prepare(t), t))
        points.append(point)
        if on_point is not None:
            on_point(point)
    return points
