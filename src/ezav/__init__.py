"""Audio-visual generalized zero-shot learning: recognise events in videos from class names.

The names below are all that most programs need; docs/reference/python.md names the other
packages. Each is imported when it is first touched, so that `import ezav` stays quick.

Example:
    >>> import ezav
    >>> "Recognizer" in dir(ezav)
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav import metrics
    from ezav.classes import (
        ClassEmbeddings,
        extend_class_embeddings,
        optimize_class_embeddings,
        proximity_loss,
        ranking_loss,
        separation_loss,
    )
    from ezav.errors import EzavError
    from ezav.features.store import FeatureStore
    from ezav.recognizer.recognizer import Recognizer
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "ClassEmbeddings": "ezav.classes",
            "EzavError": "ezav.errors",
            "FeatureStore": "ezav.features.store",
            "Recognizer": "ezav.recognizer.recognizer",
            "extend_class_embeddings": "ezav.classes",
            "metrics": "ezav.metrics",
            "optimize_class_embeddings": "ezav.classes",
            "proximity_loss": "ezav.classes",
            "ranking_loss": "ezav.classes",
            "separation_loss": "ezav.classes",
        },
    )

__version__ = "0.2.0"
"""The version of this package, as pip knows it."""

__all__ = [
    "ClassEmbeddings",
    "EzavError",
    "FeatureStore",
    "Recognizer",
    "__version__",
    "extend_class_embeddings",
    "metrics",
    "optimize_class_embeddings",
    "proximity_loss",
    "ranking_loss",
    "separation_loss",
]
