"""Settings chosen on validation: stage 1 for each candidate, the best HM wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ezav.classes.recipe import ClassEmbeddingRecipe, choose_recipe
from ezav.errors import EzavError
from ezav.features.store import FeatureStore
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.training.checkpoint import load_tree, save_tree


def choose_alpha(
    protocol: TwoStageProtocol,
    store: FeatureStore,
    alphas: Sequence[float],
    on_tried: Callable[[float, float], None] = lambda alpha, hm: None,
    kept: str | Path | None = None,
) -> TwoStageProtocol:
    """The protocol with the alpha of class embedding optimization that is best on validation.

    0 stands for the raw text embeddings. On equal HM the smaller alpha wins: it changes less.

    Args:
        protocol: a method whose config holds a class embedding recipe (`config.classes`).
        alphas: candidates in [0, 1].
        on_tried: told of every candidate and its validation HM.
        kept: a file for the validation HM of what was tried, so that a choice that was stopped
            tries no candidate twice. It stays (`write_run` removes the one beside its folder).

    Raises:
        EzavError: no candidates, a method that takes the text embeddings as they are, or a
            damaged file.
    """
    candidates = {one.config.classes: one for one in alpha_candidates(protocol, alphas)}
    tried = load_tree(kept) if kept is not None and Path(kept).is_file() else {}

    def validation_hm(recipe: ClassEmbeddingRecipe) -> float:
        one = candidates[recipe]
        key = one.key(store)
        if key not in tried:
            tried[key] = one.validate(store).HM
            if kept is not None:
                save_tree(kept, tried)
        hm: float = tried[key]
        on_tried(recipe.alpha, hm)
        return hm

    return candidates[choose_recipe(validation_hm, list(candidates)).recipe]


def alpha_candidates(protocol: TwoStageProtocol, alphas: Sequence[float]) -> list[TwoStageProtocol]:
    """The protocol with each alpha, the smallest first; 0 stands for the raw text embeddings.

    Raises:
        EzavError: no alphas, or a method that takes the text embeddings as they are.

    Example:
        >>> run = TwoStageProtocol(method="ez_avgzl")
        >>> [one.config.classes.source for one in alpha_candidates(run, [0.2, 0])]
        ['raw', 'ceo']
    """
    config = protocol.config
    if not hasattr(config, "classes"):
        raise EzavError(f"'{protocol.method}' does not optimise class embeddings: it has no alpha")
    if not alphas:
        raise EzavError("no candidates for alpha", "give some, say 0 0.05 0.1 0.2 0.5")
    return [
        replace(
            protocol,
            config=replace(
                config, classes=replace(config.classes, source="ceo" if a else "raw", alpha=a)
            ),
        )
        for a in sorted(set(alphas))
    ]
