"""Media × encoders → a feature store: parallel, resumable, one bad file costs one clip.

Example:
    >>> from ezav.extraction import extract, list_videos
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "EncodedClip": "extraction.encode",
    "EncoderSpec": "encoders.spec",
    "ExtractionReport": "extraction.report",
    "Limits": "extraction.pool",
    "Progress": "extraction.report",
    "RayPool": "extraction.on_ray",
    "WorkerPool": "extraction.pool",
    "encode_clip": "extraction.encode",
    "extract": "extraction.local",
    "list_videos": "extraction.listing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ezav.extraction' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ezav.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
