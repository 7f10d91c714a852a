"""A folder (or manifest) of labelled videos -> a feature store.

VIDEOS is a folder with one folder of recordings for each class, or a CSV file with the columns
path,class and perhaps split, its paths relative to it. A second call does only what is missing;
a kill at any moment loses at most the clips in hand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ezav.cli.common import Command, output, progress
from ezav.encoders.defaults import DEFAULTS
from ezav.extraction.settings import ExtractSettings

if TYPE_CHECKING:
    from ezav.extraction.report import ExtractionReport, Failure, Progress

_MOST_FAILURES = 20
"""Failures listed one by one; all are in the index and in --json."""


@dataclass(kw_only=True)
class ExtractCommand(Command):
    videos: tyro.conf.Positional[Path]
    """Folder <class name>/* or CSV manifest path,class[,split]."""
    out: Path
    """The feature store to write (a folder)."""
    visual: tuple[str, ...] = (DEFAULTS["visual"],)
    """Visual encoder: a name or package.module:Class, with options if need be
    (clip,source=models/clip,fps=2). Several make several stores in OUT, each with the audio encoder
    at the same place; every file is decoded once for all."""
    audio: tuple[str, ...] = (DEFAULTS["audio"],)
    """Audio encoder or encoders, as --visual; a single one goes with every visual encoder."""
    text: tuple[str, ...] = (DEFAULTS["text"],)
    """Text encoders of the class names, as --visual; the first is the default of later commands."""
    settings: Annotated[ExtractSettings, tyro.conf.arg(name="")] = field(
        default_factory=ExtractSettings
    )
    """How clips are split, encoded and stored."""

    def run(self) -> ExtractionReport:
        from ezav.extraction.local import extract

        with clip_progress(self.json) as on_progress:
            return extract(
                self.videos,
                self.out,
                visual=self.visual,
                audio=self.audio,
                text=self.text,
                settings=self.settings,
                on_progress=on_progress,
            )

    def show(self, result: ExtractionReport) -> None:
        show_report(result)


CLI = ExtractCommand


@contextmanager
def clip_progress(quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr with clips a second and the time left; gives `on_progress`.

    Where stderr is no terminal a line is written about every tenth of the work instead.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if quiet or not sys.stderr.isatty():
        yield _nothing if quiet else _Lines()
        return
    columns = (
        TextColumn("extracting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bar(*columns, console=progress) as bar:
        task = bar.add_task("extracting", total=None, rate="", failed="")
        failed = 0

        def on_progress(state: Progress) -> None:
            nonlocal failed
            failed += state.clip.status != "ok"
            speed = bar.tasks[0].speed
            bar.update(
                task,
                total=state.total,
                completed=state.done,
                rate=f"{speed:.1f} clips/s" if speed else "",
                failed=f"[yellow]{failed} left out[/yellow]" if failed else "",
            )

        yield on_progress


def _nothing(state: Progress) -> None:
    del state


class _Lines:
    """A line about every tenth of the work, at most one a second."""

    def __init__(self) -> None:
        self._begun = self._told = time.monotonic()
        self._failed = 0

    def __call__(self, state: Progress) -> None:
        self._failed += state.clip.status != "ok"
        now = time.monotonic()
        due = state.done % max(1, state.total // 10) == 0 and now - self._told >= 1
        if not due and state.done < state.total:
            return
        self._told = now
        rate = state.done / max(1e-6, now - self._begun)
        left = round((state.total - state.done) / rate)
        parts = [f"extracted {state.done} of {state.total} clips", f"{rate:.1f} clips/s"]
        parts += [f"{self._failed} left out"] * bool(self._failed)
        parts += [f"{timedelta(seconds=left)} left"] * (state.done < state.total)
        progress.print(", ".join(parts))


def show_report(result: ExtractionReport) -> None:
    """The summary for people: splits, what is missing, what failed and why."""
    from rich.table import Table

    if result.note:
        output.print(result.note)
        return
    if result.added:
        output.print(
            f"{result.added} clips in {result.seconds:.1f} s "
            f"({result.clips_per_second:.1f} clips/s, "
            f"{result.times_real_time:.0f} × real time)"
            + (f"; {result.earlier} were there already" if result.earlier else "")
        )
    else:
        output.print(f"nothing to do: all {result.earlier} clips are there already")
    if result.gone:
        output.print(f"{result.gone} clips of the store are listed no more and left out now")
    if replaced := result.replaced:
        more = f" and {len(replaced) - 1} more" if len(replaced) > 1 else ""
        output.print(
            f"another file than the one that was read: {replaced[0]}{more}; the store keeps the "
            "features of the old file, so give the new one another name",
            style="yellow",
        )
    table = Table("split", "classes", "clips", box=None, pad_edge=False)
    for name, (classes, clips) in result.splits.items():
        table.add_row(name, str(classes), str(clips))
    output.print(table)
    lacking = {"sound": result.no_audio, "picture": result.no_visual}
    for modality, count in lacking.items():
        if count:
            output.print(f"{count} clips have no {modality}; the model is told so")
    if result.notes:
        output.print(f"{len(result.notes)} clips carry a remark (column reason of the index)")
    if result.passed_over:
        kinds = ", ".join(f"{count} {kind}" for kind, count in result.passed_over.items())
        output.print(f"passed over, not recordings by their names: {kinds}")
    if result.empty:
        output.print(f"no recordings in the class folders: {', '.join(result.empty)}")
    stores = (result, *result.others)
    alike = all(store.failures == result.failures for store in stores)
    for store in stores[:1] if alike else stores:
        _show_failures(store.failures, "" if alike else f" of {store.store}")
    for store in stores:
        output.print(f"feature store: {store.store}")


def _show_failures(failures: Sequence[Failure], where: str) -> None:
    if failures:
        output.print(f"{len(failures)} clips are left out{where}:", style="yellow")
    for failure in failures[:_MOST_FAILURES]:
        output.print(f"  {failure.clip}: {failure.reason}")
    if len(failures) > _MOST_FAILURES:
        output.print(f"  and {len(failures) - _MOST_FAILURES} more (--json lists them all)")
