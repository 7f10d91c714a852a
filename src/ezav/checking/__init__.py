"""A look at the data before anything is trained: what is wrong with a store, and what is missing.

Example:
    >>> from ezav.checking import check_store
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.checking.check import check_store
    from ezav.checking.finding import CheckResult, Finding, LearningCurve
    from ezav.checking.glance import at_a_glance
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "CheckResult": "ezav.checking.finding",
            "Finding": "ezav.checking.finding",
            "LearningCurve": "ezav.checking.finding",
            "at_a_glance": "ezav.checking.glance",
            "check_store": "ezav.checking.check",
        },
    )

__all__ = ["CheckResult", "Finding", "LearningCurve", "at_a_glance", "check_store"]
