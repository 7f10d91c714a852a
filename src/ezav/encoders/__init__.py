"""Frozen encoders by name or by import path, and what one of your own is made of.

Example:
    >>> from ezav.encoders import load_audio
    >>> load_audio("statistics").card.dimension
    330
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.encoders.base import (
        AudioEncoder,
        Encoded,
        EncoderCard,
        MediaNeeds,
        TextEncoder,
        VisualEncoder,
    )
    from ezav.encoders.registry import load, load_audio, load_text, load_visual
    from ezav.encoders.spec import EncoderSpec
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "AudioEncoder": "ezav.encoders.base",
            "Encoded": "ezav.encoders.base",
            "EncoderCard": "ezav.encoders.base",
            "EncoderSpec": "ezav.encoders.spec",
            "MediaNeeds": "ezav.encoders.base",
            "TextEncoder": "ezav.encoders.base",
            "VisualEncoder": "ezav.encoders.base",
            "load": "ezav.encoders.registry",
            "load_audio": "ezav.encoders.registry",
            "load_text": "ezav.encoders.registry",
            "load_visual": "ezav.encoders.registry",
        },
    )

__all__ = [
    "AudioEncoder",
    "Encoded",
    "EncoderCard",
    "EncoderSpec",
    "MediaNeeds",
    "TextEncoder",
    "VisualEncoder",
    "load",
    "load_audio",
    "load_text",
    "load_visual",
]
