"""Media × encoders → a feature store: parallel, resumable, one bad file costs one clip.

Example:
    >>> from ezav.extraction import extract, list_videos
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.encoders.spec import EncoderSpec
    from ezav.extraction.encode import EncodedClip, encode_clip
    from ezav.extraction.listing import list_videos
    from ezav.extraction.local import extract
    from ezav.extraction.on_ray import RayPool
    from ezav.extraction.pool import Limits, WorkerPool
    from ezav.extraction.report import ExtractionReport, Progress
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "EncodedClip": "ezav.extraction.encode",
            "EncoderSpec": "ezav.encoders.spec",
            "ExtractionReport": "ezav.extraction.report",
            "Limits": "ezav.extraction.pool",
            "Progress": "ezav.extraction.report",
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
    "ExtractionReport",
    "Limits",
    "Progress",
    "RayPool",
    "WorkerPool",
    "encode_clip",
    "extract",
    "list_videos",
]
