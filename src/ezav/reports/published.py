"""Which published numbers may stand beside the runs of a section, and which only apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ezav.recipes.published import PublishedResult, published_results
from ezav.recipes.suites import suite_name
from ezav.reports.runs import LabelledRuns


@dataclass(frozen=True)
class Published:
    """Published rows of the section's data set and setting.

    Attributes:
        beside: made with the section's text alignment (or an unknown one): bars in its chart.
        apart: made with another text alignment: in a table of their own, never in one chart.
    """

    beside: tuple[PublishedResult, ...] = ()
    apart: tuple[PublishedResult, ...] = ()


def published_for(groups: Sequence[LabelledRuns]) -> Published:
    """The published rows for runs on a published benchmark; none for other or simulated data.

    The store must say that its splits are the published ones: a folder of one's own videos may
    be called "UCF" as well.

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> groups = label_runs([Run.read(folder) for folder in find_runs([runs])])
        >>> published_for(groups)  # a data set of one's own
        Published(beside=(), apart=())
    """
    run = groups[0].first
    origin = run.header.get("splits") or {}
    if run.result.simulated or origin.get("how") != "published":
        return Published()
    rows = published_results(suite_name(run.result.dataset, run.result.setting))
    same = {run.result.text_alignment, "unknown"}
    return Published(
        tuple(row for row in rows if row.text_alignment in same),
        tuple(row for row in rows if row.text_alignment not in same),
    )
