"""Where class folds choose although nobody asked for them: on data of one's own."""

from __future__ import annotations

from ezav.features.store import FeatureStore
from ezav.methods.base import Method

OWN_FOLDS = 4
"""Class folds on data of one's own."""
FEWEST = 4
"""Fewer classes than this, held out, tell one epoch from another by accident; and so many known
classes at least are divided into folds."""


def needs_folds(store: FeatureStore) -> bool:
    """Whether a store's own validation classes are no choice that can be trusted.

    So it is where they were drawn: other classes could validate just as well, and each known class
    shall once. So it is too where a manifest names fewer than four of them, or where there are
    none, every class being trained on.

    Example:
        >>> needs_folds(store)  # nothing is known of how its splits were made
        False
    """
    if store.is_closed:
        return True
    origin = store.header.splits
    if store.header.simulated or origin is None or origin.how == "published":
        return False
    return origin.how == "drawn" or len(store.split_classes("val_unseen")) < FEWEST


def learns_on_folds(method: type[Method]) -> bool:
    """Whether all that a method learns on validation can be learned on class folds.

    Example:
        >>> from ezav.methods import registry
        >>> [learns_on_folds(registry.get(name)) for name in ("best", "sje", "blending")]
        [True, True, True]
    """
    return not method.from_validation or method.learn_on_folds is not Method.learn_on_folds
