"""Tables, figures and one HTML page about runs. Results are read here, never computed.

The tables are light (terminal, Markdown, CSV); the page draws with matplotlib and is imported
when it is asked for.

Example:
    >>> from ezav.reports import markdown_table, summary_rows, write_report
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.reports.report import write_report
    from ezav.reports.tables import csv_table, markdown_table, rich_table, summary_rows
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "csv_table": "ezav.reports.tables",
            "markdown_table": "ezav.reports.tables",
            "rich_table": "ezav.reports.tables",
            "summary_rows": "ezav.reports.tables",
            "write_report": "ezav.reports.report",
        },
    )

__all__ = [
    "csv_table",
    "markdown_table",
    "rich_table",
    "summary_rows",
    "write_report",
]
