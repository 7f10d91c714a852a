"""Tokens and batches, the feature store on disk, splits; importers and the toy world.

Example:
    >>> from ezav.features import FeatureSet, FeatureStore, StoreWriter
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.features.feature_set import FeatureSet, Ragged
    from ezav.features.header import ClassFile, EncoderInfo, Header, SplitOrigin
    from ezav.features.merge import merge_stores
    from ezav.features.splits import draw_splits, given_splits
    from ezav.features.store import FeatureStore
    from ezav.features.tokens import Tokens
    from ezav.features.verify import verify_store
    from ezav.features.writer import StoreWriter
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "ClassFile": "ezav.features.header",
            "EncoderInfo": "ezav.features.header",
            "FeatureSet": "ezav.features.feature_set",
            "FeatureStore": "ezav.features.store",
            "Header": "ezav.features.header",
            "Ragged": "ezav.features.feature_set",
            "SplitOrigin": "ezav.features.header",
            "StoreWriter": "ezav.features.writer",
            "Tokens": "ezav.features.tokens",
            "draw_splits": "ezav.features.splits",
            "given_splits": "ezav.features.splits",
            "merge_stores": "ezav.features.merge",
            "verify_store": "ezav.features.verify",
        },
    )

__all__ = [
    "ClassFile",
    "EncoderInfo",
    "FeatureSet",
    "FeatureStore",
    "Header",
    "Ragged",
    "SplitOrigin",
    "StoreWriter",
    "Tokens",
    "draw_splits",
    "given_splits",
    "merge_stores",
    "verify_store",
]
