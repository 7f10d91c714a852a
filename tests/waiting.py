"""Waiting for an event, however busy the machine is; the limit only ends a test that hangs."""

from __future__ import annotations

import time
from collections.abc import Callable

MINUTES = 10 * 60.0
"""The limit of every wait of the tests, in seconds: ten minutes."""


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Return as soon as `happened()` is true.

    Raises:
        AssertionError: it did not happen within ten minutes; `what` says what was waited for.
    """
    end = time.monotonic() + MINUTES
    while not happened():
        assert time.monotonic() < end, f"waited ten minutes for {what}"
        time.sleep(0.02)
