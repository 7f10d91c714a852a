"""Look at your videos before you train on them: what is wrong with them, and what is missing.

    ezav check VIDEOS                     class folders, or a CSV file path,class[,split]
    ezav check STORE                      what `ezav extract` or `ezav import` wrote

Clips whose label the others contradict, nearly equal clips and sources on two sides of a split,
clips without sound, silent, black, still, too short or unreadable, classes with too few clips,
names that the text encoder cannot tell apart, classes that an encoder knows already, and whether
more clips would help. Nothing is changed. A finding is a reason to look, not a proof. Videos are
read once, with the default encoders, into a store that is kept beside them: a second call reads
what is new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS|STORE")]
    """Check a folder <class name>/* or a manifest path,class[,split]; or a feature store."""
    out: tuple[Path, ...] = ()
    """Write all findings to these files, each in the format of its ending: .csv, .json, or .html
    for a page with pictures of the clips."""
    store: Path | None = None
    """Keep the features of VIDEOS in this store; by default in the hidden folder '.ezav-store' in
    the folder of videos, or in '.NAME.ezav-store' beside a manifest NAME.csv."""
    workers: int | None = None
    """Read VIDEOS in so many processes; by default one for each CPU."""
    videos: Path | None = None
    """Look for the files of a STORE from this folder, for the pictures of the page; by default from
    where the command runs."""
    groups: tuple[str, ...] = ()
    """Read what the clips were cut from in a CSV file with the columns path and source (or the
    columns named after it: their values together); the splits are checked as they are. A store that
    was extracted with --groups knows it."""
    text_encoder: str | None = None
    """Use these class embeddings of the store; by default its first."""
    most: int = 5
    """Print so many findings of a kind; 0 prints all."""

    def run(self) -> CheckResult:
        from ezav.checking import check_store
        from ezav.checking.videos import is_store
        from ezav.checking.written import ENDINGS, write_check
        from ezav.errors import EzavError
        from ezav.features.store import FeatureStore
        from ezav.reports.media_files import MediaFiles
        from ezav.safe_io import check_ending, check_writable

        if self.most < 0:
            raise EzavError(f"--most must be 0 or more, not {self.most}")
        for file in self.out:
            check_ending(file, ENDINGS, "findings")
            check_writable(file)
        sources = self._sources()
        folder, videos = self.data, self.videos
        notes: tuple[str, ...] = ()
        if not is_store(self.data):
            folder, videos, notes = self._extracted()
        elif self.store is not None or self.workers is not None:
            raise EzavError(f"'{self.data}' is a store: --store and --workers are for videos")
        store = FeatureStore.open(folder)
        media = MediaFiles.open(folder, videos, {store.fingerprint: ()})
        with progress.status("looking at the data"):
            result = check_store(store, self.text_encoder, sources)
            result = replace(result, notes=(*notes, *result.notes))
            for file in self.out:
                write_check(result, file, media.finder(store.fingerprint))
        return result

    def _extracted(self) -> tuple[Path, Path, tuple[str, ...]]:
        """The store of the videos, the folder that its paths start from, what is to be told."""
        from ezav.checking.videos import read_videos
        from ezav.cli.extract import extraction_progress
        from ezav.errors import EzavError, NotFoundError

        if self.videos is not None:
            raise EzavError("--videos is for a store", "name the folder of videos alone")
        if not self.data.exists():
            raise NotFoundError(
                f"there are no videos and no feature store at '{self.data}'",
                "give a folder with one folder a class, a CSV file path,class, or a store",
            )
        with extraction_progress(self.json) as on_progress:
            report = read_videos(self.data, self.store, self.workers, on_progress)
        notes = [f"features are kept in '{report.store}': 'ezav run' trains on it"]
        if report.replaced:
            notes.append(
                f"{len(report.replaced)} files are others now than those that were read, the first "
                f"is '{report.replaced[0]}': delete that store to have all read again"
            )
        folder = self.data if self.data.is_dir() else self.data.parent
        return report.store, folder, tuple(notes)

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
            output.print(Text(f"{TITLES[kind]}: {count}", "bold"), soft_wrap=True)
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
            output.print(Text(shown(note), "dim"), soft_wrap=True)
        for file in self.out:
            output.print(f"written: {file}")


CLI = CheckCommand
