"""Which encoders are used where none is named. Imports nothing: the command line reads it."""

from __future__ import annotations

from typing import Literal

DEFAULTS: dict[Literal["visual", "audio", "text"], str] = {
    "visual": "efficientnet",
    "audio": "aisfx",
    "text": "minilm",
}
"""The default encoder of each kind."""
