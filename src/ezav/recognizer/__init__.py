"""The practitioner's face: load a run, name what is in clips, share it.

Example:
    >>> from ezav.recognizer import Recognizer  # Recognizer.load(run).predict("clip.mp4")
"""

from ezav.recognizer.calibration import Calibration
from ezav.recognizer.prediction import Candidate, Moment, Prediction
from ezav.recognizer.recognizer import Recognizer

__all__ = ["Calibration", "Candidate", "Moment", "Prediction", "Recognizer"]
