"""`write_report`: run folders in, one HTML page out, with figures and their numbers as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ezav.errors import EzavError
from ezav.reports.facts import facts_of, protocol_of, run_table
from ezav.reports.figures.comparison import comparison
from ezav.reports.figures.confusion import confusion
from ezav.reports.figures.curves import seen_unseen_curves
from ezav.reports.figures.mistakes import error_gallery
from ezav.reports.figures.recall import per_class_recall
from ezav.reports.figures.similarity import similarity
from ezav.reports.figures.style import Panel
from ezav.reports.figures.training import training_curves
from ezav.reports.figures.tsne import clip_map
from ezav.reports.media_files import MediaFiles
from ezav.reports.page import Section, render
from ezav.reports.published import published_for
from ezav.reports.runs import LabelledRuns, Run, find_runs, label_runs, principal, without_ceo
from ezav.reports.summary import Comparable, SummaryRow, by_comparison, comparable, summary_rows
from ezav.reports.tables import csv_table, markdown_table
from ezav.reports.verdicts import said_of
from ezav.safe_io import refuse_links, write_text

OnProgress = Callable[[str], None]


def write_report(
    runs: Sequence[str | Path],
    out: str | Path,
    figures: str | Path | None = None,
    store: str | Path | None = None,
    videos: str | Path | None = None,
    on_progress: OnProgress = lambda step: None,
) -> Path:
    """Write one self-contained HTML page about some runs.

    Runs of one label are seeds of one row; several labels on one store are compared. Results on
    different stores, settings or text alignments get sections of their own and are never mixed.

    Args:
        runs: run folders, or folders of run folders.
        out: the HTML file to write; an older report there is replaced.
        figures: a folder for every figure as SVG and PNG with its CSV, and the headline tables as
            Markdown and CSV; None writes none.
        store: the feature store of the runs, which knows where each clip's file is.
        videos: the folder (or the manifest's folder) that the clips' paths are relative to.
        on_progress: called with a word before each step.

    Returns:
        `out`.

    Raises:
        EzavError: no run, a damaged run, files of two runs in one folder, a store of other runs,
            or a place that cannot be written.

    Example:
        >>> write_report([], "report.html")
        Traceback (most recent call last):
        ezav.errors.EzavError: no run given; name one or more run folders in `runs`
    """
    out = Path(out)
    if out.is_dir():
        raise EzavError(f"'{out}' is a folder", 'name the HTML file to write: `out="report.html"`')
    read = [Run.read(folder) for folder in find_runs(runs)]
    results = [run.result for run in read]
    made_on = {result.store_fingerprint: result.candidates["unseen"] for result in results}
    media = MediaFiles.open(store, videos, made_on)
    rows = summary_rows(results)
    sections: list[Section] = []
    for table in by_comparison(rows):
        on_progress(table[0].where.title)
        sections.append(_section(f"s{len(sections) + 1}", table, rows, read, media, on_progress))
    names = list(dict.fromkeys(row.dataset for row in rows))
    page = render(
        title=f"Audio-visual zero-shot recognition: {', '.join(names)}",
        lead=_lead(len(read), rows),
        sections=sections,
    )
    on_progress("files")
    if figures is not None:
        _write_figures(Path(figures), sections)
    write_text(out, page)
    return out


def _section(
    key: str,
    table: Sequence[SummaryRow],
    rows: Sequence[SummaryRow],
    read: Sequence[Run],
    media: MediaFiles,
    on_progress: OnProgress,
) -> Section:
    """What is said of the runs of one table; `rows` are those of all tables."""
    where = table[0].where
    groups = label_runs([run for run in read if comparable(run.result) == where])
    panels = _Panels(groups, media.finder(where.store_fingerprint), on_progress)
    return Section(
        title=_title(where, rows),
        key=key,
        rows=table,
        panels=panels.draw(comparison(table, published_for(groups))),
        protocol=protocol_of(groups),
        runs=run_table(groups),
        facts=facts_of(groups),
        said=said_of(groups),
    )


@dataclass(frozen=True)
class _Panels:
    """The figures of one section, in the order of the page."""

    groups: Sequence[LabelledRuns]
    find: Callable[[str], Path | None] | None
    on_progress: OnProgress

    def draw(self, first: Panel) -> list[Panel]:
        shown = principal(self.groups)
        unseen = shown.first.result.candidates["unseen"]
        steps: dict[str, Callable[[], Panel | None]] = {
            "seen-unseen curves": lambda: seen_unseen_curves(self.groups) if unseen else None,
            "recall": lambda: per_class_recall(shown),
            "training": lambda: training_curves(shown),
            "confusion": lambda: confusion(shown, without_ceo(shown, self.groups)),
            "similarity": lambda: similarity(shown),
            "map of the clips": lambda: clip_map(shown),
            "mistakes": lambda: error_gallery(shown, self.find),
        }
        panels = [first]
        for name, step in steps.items():
            self.on_progress(name)
            panel = step()
            if panel is not None:
                panels.append(panel)
        return panels


def _lead(runs: int, rows: Sequence[SummaryRow]) -> str:
    if runs == 1:
        return f"One run of {rows[0].label}."
    most = max(len(row.seeds) for row in rows)
    seeds = f", up to {most} seeds each" if most > 1 else ""
    return f"{runs} runs{seeds}: {' · '.join(dict.fromkeys(row.label for row in rows))}"


def _title(where: Comparable, rows: Sequence[SummaryRow]) -> str:
    """The section's heading; the store is named where two stores share everything else."""
    wheres = {row.where for row in rows}
    twins = [other for other in wheres if other[:4] == where[:4]]
    return f"{where.title}, store {where.store_fingerprint[:8]}" if len(twins) > 1 else where.title


def _write_figures(folder: Path, sections: Sequence[Section]) -> None:
    for section in sections:
        # One section: its files lie in the folder itself.
        inside = folder if len(sections) == 1 else folder / section.key
        refuse_links(folder, inside)
        write_text(inside / "results.md", markdown_table(section.rows))
        write_text(inside / "results.csv", csv_table(section.rows))
        for panel in section.panels:
            for picture in panel.pictures:
                picture.write(inside)
            for name, text in panel.csv.items():
                write_text(inside / f"{name}.csv", text)
