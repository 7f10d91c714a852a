"""Tokens and batches, the feature store on disk, splits; importers and the toy world.

Example:
    >>> from ezav.features import FeatureSet, FeatureStore, StoreWriter
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ClassFile": "header",
    "EncoderInfo": "header",
    "FeatureSet": "feature_set",
    "FeatureStore": "store",
    "Header": "header",
    "Ragged": "feature_set",
    "SplitOrigin": "header",
    "StoreWriter": "writer",
    "Tokens": "tokens",
    "draw_splits": "splits",
    "given_splits": "splits",
    "merge_stores": "merge",
    "verify_store": "verify",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ezav.features' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ezav.features.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
