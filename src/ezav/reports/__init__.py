"""Tables, figures and one HTML page about runs. Results are read here, never computed.

`ezav.reports.tables` is light (terminal, Markdown, CSV); the page draws with matplotlib and is
imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ezav.reports.report import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    if name == "write_report":
        from ezav.reports.report import write_report

        return write_report
    raise AttributeError(f"module 'ezav.reports' has no attribute '{name}'")
