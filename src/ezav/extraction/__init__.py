"""Media × encoders → a feature store: parallel, resumable, one bad file costs one clip.

Example:
    >>> from ezav.extraction import extract, list_videos
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.encoders.spec import EncoderSpec
    from ezav.extraction.encode import encode_clip
    from ezav.extraction.encoded import EncodedClip
    from ezav.extraction.listing import list_videos
    from ezav.extraction.local import extract
    from ezav.extraction.on_ray import RayPool
    from ezav.extraction.pool import WorkerPool
    from ezav.extraction.reading import Limits, Reading
    from ezav.extraction.report import ExtractionReport, Progress
    from ezav.extraction.settings import ExtractSettings
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "EncodedClip": "ezav.extraction.encoded",
            "EncoderSpec": "ezav.encoders.spec",
            "ExtractSettings": "ezav.extraction.settings",
            "ExtractionReport": "ezav.extraction.report",
            "Limits": "ezav.extraction.reading",
            "Progress": "ezav.extraction.report",
            "Reading": "ezav.extraction.reading",
            "RayPool": "ezav.extraction.on_ray",
            "WorkerPool": "ezav.extraction.pool",
            "encode_clip": "ezav.extraction.encode",
            "extract": "ezav.extraction.local",
            "list_videos": "ezav.extraction.listing",
        },
    )

__all__ = [
    "EncodedClip",
    "EncoderSpec",
    "ExtractSettings",
    "ExtractionReport",
    "Limits",
    "Progress",
    "RayPool",
    "Reading",
    "WorkerPool",
    "encode_clip",
    "extract",
    "list_videos",
]
