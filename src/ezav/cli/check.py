"""Look at a feature store before you train on it: what is wrong with it, and what is missing.

Clips whose label the others contradict, nearly equal clips and sources on two sides of a split,
clips that are silent, frozen, too short or unreadable, classes with too few clips, names that the
text encoder cannot tell apart, classes that an encoder knows already, and whether more clips would
help. Nothing is changed. A finding is a reason to look, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.text import Text

from ezav.cli.common import Command, output, progress
from ezav.cli.tables import print_rows
from ezav.naming import shown

if TYPE_CHECKING:
    from ezav.checking import CheckResult


@dataclass(kw_only=True)
class CheckCommand(Command):
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """A feature store, as 'ezav extract' or 'ezav import' writes it."""
    out: tuple[Path, ...] = ()
    """Files to write all findings to, each in the format of its ending: .csv, .json, or .html for
    a page with pictures of the clips."""
    videos: Path | None = None
    """The folder that the paths of the store start from, for the pictures of the page; by default
    they are looked for where the command runs."""
    groups: tuple[str, ...] = ()
    """A CSV file with the columns path and source (or the columns named after it: their values
    together) that says what the clips were cut from; the splits are checked as they are. A store
    that was extracted with --groups knows it."""
    text_encoder: str | None = None
    """Which of the store's class embeddings to use; by default its first."""
    most: int = 5
    """How many findings of a kind to print; 0 prints all."""

    def run(self) -> CheckResult:
        from ezav.checking import check_store
        from ezav.checking.written import ENDINGS, write_check
        from ezav.errors import EzavError
        from ezav.features.store import FeatureStore
        from ezav.reports.media_files import MediaFiles
        from ezav.safe_io import check_ending

        if self.most < 0:
            raise EzavError(f"--most must be 0 or more, not {self.most}")
        for file in self.out:
            check_ending(file, ENDINGS, "findings")
        store = FeatureStore.open(self.store)
        media = MediaFiles.open(self.store, self.videos, {store.fingerprint: ()})
        with progress.status("looking at the data"):
            result = check_store(store, self.text_encoder, self._sources())
            for file in self.out:
                write_check(result, file, media.finder(store.fingerprint))
        return result

    def _sources(self) -> dict[str, str] | None:
        from ezav.features.sources import read_sources

        if not self.groups:
            return None
        file, *columns = self.groups
        return read_sources(Path(file), columns or ("source",))

    def show(self, result: CheckResult) -> None:
        from ezav.checking.finding import TITLES

        output.print(f"{result.clips} clips of {result.classes} classes")
        for kind, count in result.counts.items():
            output.print("")
            output.print(Text(f"{count} {TITLES[kind]}", "bold"), soft_wrap=True)
            found = result.of(kind)
            some = found if self.most == 0 else found[: self.most]
            print_rows(("found", "clip"), [(shown(one.said), shown(one.clip)) for one in some], 1)
            if len(some) < count:
                output.print(f"and {count - len(some)} more: --most 0, or --out", style="dim")
        if not result.findings:
            output.print("nothing odd was found")
        if result.curve is not None:
            output.print("")
            output.print(Text("would more clips help?", "bold"))
            rows = [
                (str(one.clips), f"{100 * one.hm:.1f} ± {100 * one.error:.1f}")
                for one in result.curve.points
            ]
            print_rows(("clips a class", "HM"), rows, 2)
            output.print(result.curve.sentence, soft_wrap=True)
        for note in result.notes:
            output.print(Text(note, "dim"), soft_wrap=True)
        for file in self.out:
            output.print(f"written: {file}")


CLI = CheckCommand
