"""What all tests of media share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def priority() -> Iterator[None]:
    """The test's thread keeps its priority.

    SVT-AV1, which encodes clips here, gives root's threads the highest real-time one and leaves
    it: a browser that is started later inherits it, and nothing else runs any more.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, *before)
