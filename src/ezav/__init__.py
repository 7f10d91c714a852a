"""Audio-visual generalized zero-shot learning: recognise events in videos from class names.

The names below are all a user needs; each is imported when it is first touched, so that
`import ezav` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "EzavError": "ezav.errors",
    "metrics": "ezav.metrics",
    "ClassEmbeddings": "ezav.classes",
    "separation_loss": "ezav.classes",
    "proximity_loss": "ezav.classes",
    "ranking_loss": "ezav.classes",
    "optimize_class_embeddings": "ezav.classes",
    "extend_class_embeddings": "ezav.classes",
    "FeatureStore": "ezav.features",
    "Recognizer": "ezav.recognizer",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ezav' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return module if name == "metrics" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
