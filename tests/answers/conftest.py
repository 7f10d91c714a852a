"""The videos and the run of the recogniser's tests."""

from __future__ import annotations

from tests.recognizer.conftest import _percentages, lights, sure

__all__ = ["_percentages", "lights", "sure"]
