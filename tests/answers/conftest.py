"""The videos and the run of the recogniser's tests."""

from __future__ import annotations

from tests.recognizer.conftest import lights, sure

__all__ = ["lights", "sure"]
