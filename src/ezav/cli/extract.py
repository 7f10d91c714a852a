"""A folder (or manifest) of labelled videos -> a feature store.

VIDEOS is a folder with one folder of recordings for each class, or a CSV file with the columns
path,class and perhaps split, its paths relative to it. A second call does only what is missing;
a kill at any moment loses at most the clips in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ezav.cli.clips_progress import clip_progress
from ezav.cli.common import Command, output, progress, tell_read, tell_remarks
from ezav.encoders.defaults import DEFAULTS
from ezav.extraction.settings import ExtractSettings
from ezav.naming import shown

if TYPE_CHECKING:
    from ezav.extraction.report import Begun, ExtractionReport, Failure, Progress

_MOST_NAMES = 40
"""Classes named in one line; the store knows all."""
_MOST_FAILURES = 20
"""Failures listed one by one; all are in the index and in --json."""


@dataclass(kw_only=True)
class ExtractCommand(Command):
    videos: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS")]
    """Read the videos of a folder <class name>/*, or of a CSV manifest path,class[,split]."""
    out: Path
    """Write the feature store into this folder."""
    visual: tuple[str, ...] = (DEFAULTS["visual"],)
    """Use this visual encoder: a name or package.module:Class, with options if need be
    (clip,source=models/clip,fps=2). Several make several stores in OUT, each with the audio encoder
    at the same place; every file is decoded once for all."""
    audio: tuple[str, ...] = (DEFAULTS["audio"],)
    """Use this audio encoder, or several, written as for --visual; a single one goes with every
    visual encoder."""
    text: tuple[str, ...] = (DEFAULTS["text"],)
    """Embed the class names with these text encoders, written as for --visual; the first is the
    default of later commands."""
    descriptions: Path | None = None
    """Let text encoders read the descriptions of a CSV (name,description,…) or YAML file in the
    place of the class names; 'ezav features describe' changes them later."""
    settings: Annotated[ExtractSettings, tyro.conf.arg(name="")] = field(
        default_factory=ExtractSettings
    )
    """How clips are split, encoded and stored."""

    def run(self) -> ExtractionReport:
        from ezav.encoders.descriptions import read_descriptions
        from ezav.extraction.local import extract

        behind = None if self.descriptions is None else read_descriptions(self.descriptions)
        with extraction_progress(self.json) as on_progress:
            return extract(
                self.videos,
                self.out,
                visual=self.visual,
                audio=self.audio,
                text=self.text,
                descriptions=behind,
                settings=self.settings,
                on_progress=on_progress,
                on_begin=tell_plan,
            )

    def show(self, result: ExtractionReport) -> None:
        show_report(result)


CLI = ExtractCommand


def tell_plan(begun: Begun) -> None:
    """What was decided before the first clip is read: classes set apart, names that are unclear."""
    if begun.closed:
        progress.print(
            "every class is trained on; `--unseen NAME...` sets some apart, to see how well names "
            "without videos are told",
            soft_wrap=True,
        )
    if begun.unseen:
        drawn = " (drawn; `--unseen NAME...` or the manifest's column split choose others)"
        told = [f"never trained on: {_listed(begun.unseen)}{drawn if begun.drawn else ''}"]
        if begun.validating:
            told.append(f"only validate: {_listed(begun.validating)}")
        for line in told:
            progress.print(line, soft_wrap=True)
    tell_read(begun.read)
    tell_remarks(begun.remarks)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(shown, names[:_MOST_NAMES])) + more


@contextmanager
def extraction_progress(quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """:func:`ezav.cli.clips_progress.clip_progress` as `extract` tells it."""
    with clip_progress("extracting", "extracted", quiet) as tell:
        yield lambda state: tell(state.done, state.total, state.clip.status != "ok")


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
