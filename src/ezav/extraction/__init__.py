"""Media × encoders → a feature store: parallel, resumable, one bad file costs one clip.

Example:
    >>> from ezav.extraction import extract, list_videos
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "EncodedClip": "encode",
    "EncoderSpec": "batch",
    "ExtractionReport": "report",
    "Limits": "pool",
    "Progress": "report",
    "RayPool": "on_ray",
    "WorkerPool": "pool",
    "encode_clip": "encode",
    "extract": "local",
    "list_videos": "listing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ezav.extraction' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ezav.extraction.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
