"""The practitioner's face: load a run, name what is in clips, share it.

Example:
    >>> from ezav.recognizer import Recognizer  # Recognizer.load(run).predict("clip.mp4")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.protocol.calibration import Calibration
    from ezav.recognizer.events import Event, ScanSettings
    from ezav.recognizer.prediction import Candidate, Moment, Prediction
    from ezav.recognizer.recognizer import Recognizer
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Calibration": "ezav.protocol.calibration",
            "Candidate": "ezav.recognizer.prediction",
            "Event": "ezav.recognizer.events",
            "Moment": "ezav.recognizer.prediction",
            "Prediction": "ezav.recognizer.prediction",
            "Recognizer": "ezav.recognizer.recognizer",
            "ScanSettings": "ezav.recognizer.events",
        },
    )

__all__ = [
    "Calibration",
    "Candidate",
    "Event",
    "Moment",
    "Prediction",
    "Recognizer",
    "ScanSettings",
]
