"""Find events in a long video or a live stream: which class, from when to when.

Slides a window over the whole recording and writes events as JSON, CSV, or subtitles (WebVTT,
SRT) that a video player shows. Memory does not grow with the length of the recording. With
--frozen VIDEO no run is needed. A pipe (-), an address (tcp:// udp:// http:// https:// rtsp://)
or a camera (/dev/video0) is read while it comes: each event is printed and appended soon
after it is over.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.text import Text

from ezav.cli.common import (
    Command,
    FrozenOptions,
    Importing,
    Signed,
    check_frozen,
    frozen_recognizer,
    load_recognizer,
    names_progress,
    output,
    progress,
    read_classes,
    tell_read,
    tell_remarks,
)
from ezav.errors import EzavError
from ezav.extraction.reading import Limits
from ezav.naming import shown
from ezav.recognizer.events import Event, ScanSettings
from ezav.safe_io import check_writable

if TYPE_CHECKING:
    from ezav.recognizer.live import LiveSource
    from ezav.recognizer.names import Names
    from ezav.recognizer.recognizer import Recognizer

_Found = tuple[Collection[Event], Collection[str], str]
"""Events, warnings, and why it was broken off."""
_MOST_EVENTS = 10_000
_MOST_WARNINGS = 100


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What `ezav scan` found.

    Attributes:
        video: the recording, or the live source as it was given.
        events: in order; of a live source the last 10 000.
        warnings: what is wrong with it, each thing once.
        files: those that were written.
        caution: where the run is no better than guessing, or than what needs no training, that.
        withheld: why there are no percentages; empty where there are.
        broken_off: why the reading ended before the recording does; empty where it did not.
        status: 1 where it was broken off.
        live: the events were printed as they ended.
        window, change: seconds and nats that the recording was cut by.
        chosen: those of the two that were not given and that the run chose on validation.
    """

    video: str
    events: tuple[Event, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]
    caution: str = ""
    withheld: str = ""
    broken_off: str = ""
    status: int = 0
    live: bool = False
    window: float = math.nan
    change: float = math.nan
    chosen: tuple[str, ...] = ()


@dataclass(kw_only=True)
class ScanCommand(FrozenOptions, Command):
    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Use this run folder, saved recogniser, or hub id 'owner/name'; with --frozen give none."""
    video: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")] = None
    """Look through this recording, or a live source: - for what is piped in, a named pipe, an
    address (tcp://HOST:PORT, udp://HOST:PORT, http://…, https://…, rtsp://…), or a device
    (/dev/video0, v4l2:…, alsa:…, avfoundation:…)."""
    classes: tuple[str, ...] | None = None
    """Choose among exactly these names, each in quotes; by default among all classes of the run."""
    class_file: Path | None = None
    """Read the class names from a text file with one a line, instead of --classes."""
    descriptions: Path | None = None
    """Let the text encoder read the descriptions of a CSV (name,description,…) or YAML file in the
    names' place; its names are the candidates where none are listed. They may be typed, too: "name:
    description"."""
    out: tuple[Path, ...] = ()
    """Write the events to these files, each in the format of its ending: .json .jsonl .csv .vtt
    .srt. Events of a live source are appended, to .jsonl and .csv."""
    patience: float = 10.0
    """Count a live source as stalled when it sends nothing for so many seconds."""
    retries: int = 5
    """Try a lost address again, so many times in a row."""
    settings: Annotated[ScanSettings, tyro.conf.arg(name="")] = field(default_factory=ScanSettings)
    """How the recording is cut and what counts as an event."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    """What reading one file may cost."""

    def _video(self) -> str:
        if self.frozen:
            if self.video is not None:
                raise EzavError("--frozen takes no run", f"leave '{self.run_folder}' out")
            return self.run_folder
        if self.video is None:
            raise EzavError("no recording is given", "name a run and a recording, or --frozen")
        return self.video

    def run(self) -> Scanned:
        from ezav.recognizer.event_files import WRITERS
        from ezav.recognizer.live import LiveSource, is_live
        from ezav.safe_io import check_ending

        check_frozen(self)
        video = self._video()
        live = LiveSource(video, self.patience, self.retries) if is_live(video) else None
        for path in self.out:
            if live is None:
                check_ending(path, WRITERS, "events")
            if path.resolve() == Path(video).resolve():
                raise EzavError(f"--out '{path}' is the recording itself", "name another file")
        classes = read_classes(self.classes, self.class_file, self.descriptions)
        recognizer = (
            frozen_recognizer(self, self.device, self.limits, classes)
            if self.frozen
            else load_recognizer(
                self.run_folder,
                self.device,
                self.import_code,
                self.limits,
                files=True,
                require_signature=self.require_signature,
            )
        )
        with progress.status("class names") as status:
            candidates = recognizer.candidates(classes, names_progress(status))
        tell_read(candidates.read)
        tell_remarks(candidates.remarks)
        if self.settings.several:
            recognizer.answering.thresholds()  # raises: there are none
        cut = recognizer.calibration.cut
        settled = self.settings.settled(cut)
        if live is None:
            events, warnings, broken_off = self._scan_file(recognizer, Path(video), classes)
        else:
            events, warnings, broken_off = self._follow(recognizer, live, classes, settled.window)
        return Scanned(
            video=video,
            events=tuple(events),
            warnings=tuple(warnings),
            files=self.out,
            withheld=recognizer.answering.withheld(candidates, self.settings.several),
            caution=recognizer.caution,
            broken_off=broken_off,
            status=1 if broken_off else 0,
            live=live is not None,
            window=settled.window,
            change=settled.change,
            chosen=tuple(
                name
                for name in ("window", "change")
                if cut is not None and getattr(self.settings, name) is None
            ),
        )

    def _scan_file(self, recognizer: Recognizer, path: Path, classes: Names | None) -> _Found:
        from ezav.recognizer.event_files import write_events
        from ezav.recognizer.scan import scan

        for out in self.out:  # else hours of footage may be scanned in vain
            check_writable(out)
        warnings: list[str] = []
        events: list[Event] = []
        broken_off = ""
        with seconds_progress(path.name) as on_progress:
            found = scan(recognizer, path, classes, self.settings, on_progress, warnings.append)
            try:
                events.extend(found)
            except EzavError as error:
                if not events:
                    raise
                broken_off = str(error)
        # Each class's events come in order; of several, all of them shall.
        events.sort(key=lambda one: (one.start, one.end))
        for out in self.out:
            write_events(events, out)
        return events, warnings, broken_off

    def _follow(
        self, recognizer: Recognizer, live: LiveSource, classes: Names | None, window: float
    ) -> _Found:
        """Print and append each event as it ends, and keep no more than the last of them."""
        from ezav.recognizer.event_files import append_event, check_appended
        from ezav.recognizer.scan import LIVE_DELAY, scan

        begun = [out for out in self.out if not out.exists()]
        for out in self.out:
            check_appended(out)
        most = LIVE_DELAY + window + self.settings.hop
        progress.print(
            f"live: an event is told at most {most:g} s after it is "
            "over, and 10 s more where picture and sound do not keep step",
            style="dim",
        )
        warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
        events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        try:
            for event in scan(recognizer, live, classes, self.settings, None, warnings.append):
                for out in self.out:
                    append_event(event, out)
                if not self.json:
                    show_event(event)
                events.append(event)
        except EzavError as error:
            if not events:
                for out in begun:  # there is nothing in them
                    out.unlink(missing_ok=True)
                raise
            return events, warnings, str(error)
        return events, warnings, ""

    def show(self, result: Scanned) -> None:
        for event in () if result.live else result.events:
            show_event(event)
        if result.withheld and result.events:
            output.print(f"no percentages: {result.withheld}", style="dim", soft_wrap=True)
        if not result.events:
            output.print("no events: no class stands out for long enough")
        if result.chosen:
            output.print(
                f"cut by --window {result.window:g} --change {result.change:g}, which cut the "
                "run's validation clips best",
                style="dim",
                soft_wrap=True,
            )
        for warning in result.warnings:
            output.print(f"  warning: {warning}")
        for path in result.files:
            output.print(f"written: {path}")
        if result.caution:
            output.print(Text(f"this run: {result.caution}", "bold red"), soft_wrap=True)
        if result.broken_off:
            progress.print(result.broken_off, style="red", soft_wrap=True)


CLI = ScanCommand


def show_event(event: Event) -> None:
    """One line."""
    from ezav.recognizer.event_files import clock

    output.print(
        f"{clock(event.start, '.')} - {clock(event.end, '.')}  "
        f"{percent(event):>4}  {event.kind:<6}  {shown(event.name)}"
    )


def percent(event: Event) -> str:
    """The event's probability; a dash where it is withheld.

    Example:
        >>> percent(Event(start=0, end=1, name="dog", kind="new", probability=None, score=2.0))
        '–'
    """
    return "–" if event.probability is None else f"{event.probability:.0%}"


@contextmanager
def seconds_progress(name: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar over the seconds of a recording, with the time left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.fields[claimed]} s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=progress, transient=True) as bar:
        task = bar.add_task(name, total=None, claimed="?")

        def on_progress(done: float, claimed: float | None) -> None:
            known = {} if claimed is None else {"total": claimed, "claimed": f"{claimed:.0f}"}
            bar.update(task, completed=done, **known)  # type: ignore[arg-type]

        yield on_progress


__all__ = ["CLI", "ScanCommand", "seconds_progress"]
