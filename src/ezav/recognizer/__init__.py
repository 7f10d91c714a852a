"""The practitioner's face: load a run, name what is in clips, share it.

Example:
    >>> from ezav.recognizer import Recognizer  # Recognizer.load(run).predict("clip.mp4")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ezav.recognizer.calibration import Calibration
    from ezav.recognizer.events import Event, ScanSettings
    from ezav.recognizer.prediction import Candidate, Moment, Prediction
    from ezav.recognizer.recognizer import Recognizer

_HOMES = {
    "Calibration": "calibration",
    "Candidate": "prediction",
    "Event": "events",
    "Moment": "prediction",
    "Prediction": "prediction",
    "Recognizer": "recognizer",
    "ScanSettings": "events",
}

__all__ = [
    "Calibration",
    "Candidate",
    "Event",
    "Moment",
    "Prediction",
    "Recognizer",
    "ScanSettings",
]


def __getattr__(name: str) -> Any:
    # Late, so that `ezav scan --help` need not load torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'ezav.recognizer' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ezav.recognizer.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
