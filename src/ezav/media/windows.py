"""`read_windows`: a long recording piece by piece, never the whole of it in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ezav.errors import EzavError
from ezav.media.clip import Clip, FrameSpec
from ezav.media.collect import Collector, Converters, Wanted, note_losses, seconds
from ezav.media.container import Source, UnreadableError, open_source
from ezav.media.decode import Picture, Problems, Sound, decode
from ezav.media.read import DEFAULT_RATE, DEFAULT_SPEC, check_wanted, restrict, unreadable
from ezav.media.scan import Extent, scan

_SHORTEST = 0.1
"""Seconds at the end of a recording that are not worth a window of their own."""
_HEAD = {Picture: 16, Sound: 128}
"""Pieces looked at, at most, for the first picture and the first sound."""
_EVER = 1e12
"""Seconds: a live stream has no end that is known."""
_MOST_SECONDS = 31 * 86_400.0
_PATIENCE = 10.0
"""Seconds that one stream may lag behind the other before windows stop waiting for it."""


def read_windows(
    path: str | os.PathLike[str],
    length: float,
    hop: float | None = None,
    *,
    video: FrameSpec | Iterable[FrameSpec] | None = DEFAULT_SPEC,
    audio: int | Iterable[int] | None = DEFAULT_RATE,
    live: bool = False,
) -> Iterator[Clip]:
    """Read a recording as windows `[k · hop, k · hop + length)`, decoding it once.

    The last window ends with the recording and may be shorter. Only the windows that overlap are
    in memory. A file that cannot be read gives one clip that says why.

    Args:
        path: a media file.
        length: of a window, in seconds.
        hop: seconds from the beginning of one window to the next; default `length`.
        video, audio: as for :func:`ezav.media.read_clip`; a spec with a `count` gives so many
            frames for each window.
        live: `path` is a named pipe, read once and as it comes; how long the recording will be is
            not known. A window comes when picture and sound have passed its end, or one of them
            by ten seconds.

    Yields:
        Clips in order; `start` says where the window lies, its times are counted from there.

    Raises:
        EzavError: a length or hop that is not positive.

    Example:
        >>> [clip.reason for clip in read_windows("no/such/film.mkv", 10.0)]
        ['no such file']
    """
    step = length if hop is None else hop
    if not (0 < length < 1e9 and 0 < step < 1e9):
        raise EzavError(f"windows of {length} s every {step} s", "both must be more than 0")
    wanted = check_wanted(video, audio)
    try:
        if live:
            with open_source(Path(path), live=True) as source:
                yield from _live(restrict(source, wanted), os.fspath(path), wanted, length, step)
            return
        with open_source(Path(path)) as source:
            extents = scan(restrict(source, wanted))
        found = [extent for extent in extents.values() if extent.length > 0]
        if not found:
            with open_source(Path(path)) as source:
                empty = Collector(wanted, Converters(source), Extent(), problems := Problems())
                yield empty.clip(restrict(source, wanted), os.fspath(path), problems, 0.0)
            return
        whole = Extent(min(e.begin for e in found), max(e.end for e in found))
        with open_source(Path(path)) as source:
            cutter = _Cutter(restrict(source, wanted), os.fspath(path), wanted, extents, whole)
            yield from cutter.cut(length, step)
    except UnreadableError as error:
        yield unreadable(path, wanted, str(error))
    except MemoryError:
        yield unreadable(path, wanted, "needs more memory than allowed")


def _live(source: Source, path: str, wanted: Wanted, length: float, hop: float) -> Iterator[Clip]:
    streams = {"video": source.video, "audio": source.audio}
    extents = {name: Extent(-_EVER, _EVER) for name, one in streams.items() if one is not None}
    if not extents:
        raise UnreadableError("neither pictures nor sound in the stream")
    yield from _Cutter(source, path, wanted, extents, Extent(0.0, _EVER), live=True).cut(
        length, hop
    )


@dataclass(slots=True)
class _Cutter:
    """Deals the pieces of one recording out to the windows they belong to."""

    source: Source
    path: str
    wanted: Wanted
    extents: dict[str, Extent]
    whole: Extent
    live: bool = False
    """Extents say nothing yet: the recording goes on."""

    def cut(self, length: float, hop: float) -> Iterator[Clip]:
        self._refuse_endless()
        problems = Problems()
        items = self._from_first(decode(self.source, problems))
        converters = Converters(self.source)
        number = 0
        open_windows: list[Collector] = []
        reached = dict.fromkeys(self.extents, self.whole.begin)
        decoded: dict[str, Extent] = {}
        shown: Picture | None = None
        for item in items:
            # Packets may promise less than there is: some have no stamps of their own.
            self.whole.end = max(self.whole.end, _ends(item))
            self._refuse_endless()
            while (coming := self._window(number, length, hop)) and _ends(item) > coming.begin:
                picture = _overlap(self.extents.get("video", Extent()), coming)
                fresh = Collector(
                    self.wanted, converters, picture, problems, coming.begin, coming.end
                )
                if shown is not None:
                    fresh.add(shown)
                open_windows.append(fresh)
                number += 1
            for window in open_windows:
                window.add(item)
            name = "video" if isinstance(item, Picture) else "audio"
            decoded.setdefault(name, Extent(item.time)).end = _ends(item)
            if isinstance(item, Picture):
                shown = item
                reached["video"] = item.time
                problems.broken.discard("picture")
            else:
                reached["audio"] = _ends(item)
            # The last one waits for what is found wrong at the end.
            while len(open_windows) > 1 and self._passed(open_windows[0], reached):
                window = open_windows.pop(0)
                # The next picture may be further away than is waited for; of damaged ones none
                # may come any more.
                goes_on = self.extents.get("video", Extent()).end > window.end
                if goes_on and "picture" not in problems.broken:
                    window.last_is_shown()
                yield self._clip(window, problems)
        if self.live:
            self.whole.end = max((one.end for one in decoded.values()), default=self.whole.begin)
            first = number - len(open_windows)
            whole = [self._window(first + k, length, hop) for k in range(len(open_windows))]
            open_windows = [one for one, still in zip(open_windows, whole) if still is not None]
        else:
            note_losses(decoded, self.extents, self.source, problems)
        if number == 0:  # nothing was decoded
            window = Collector(self.wanted, converters, Extent(), problems)
            yield window.clip(self.source, self.path, problems, 0.0)
        for window in open_windows:
            yield self._clip(window, problems)

    def _refuse_endless(self) -> None:
        """Damaged stamps may span centuries, and every window of them would be looked at."""
        if not self.live and self.whole.length > _MOST_SECONDS:
            days = self.whole.length / 86_400
            raise UnreadableError(f"its time stamps span {days:,.0f} days, beyond reason")

    def _from_first(self, items: Iterator[Picture | Sound]) -> Iterator[Picture | Sound]:
        """The same items, once the first of each stream has told when the recording begins.

        Packets may begin earlier: codecs put a little padding before the first sound.
        """
        firsts: dict[type, float] = {}
        seen = dict.fromkeys(_HEAD, 0)
        head: list[Picture | Sound] = []
        for item in items:
            head.append(item)
            firsts.setdefault(type(item), item.time)
            seen[type(item)] += 1
            present = sum(extent.length > 0 for extent in self.extents.values())
            if len(firsts) == present or seen[type(item)] >= _HEAD[type(item)]:
                break
        if firsts:
            self.whole.begin = min(firsts.values())
        return chain(head, items)

    def _window(self, number: int, length: float, hop: float) -> Extent | None:
        """The window of that number; None behind the last."""
        begin = self.whole.begin + number * hop
        before = begin - hop + length  # the end of the one before
        if number and max(begin, before) > self.whole.end - _SHORTEST:
            return None
        return Extent(begin, begin + length)

    def _passed(self, window: Collector, reached: dict[str, float]) -> bool:
        """Nothing more of this window is to come."""
        if max(reached.values()) > window.end + _PATIENCE:
            return True
        return all(
            time >= window.end or self.extents[name].end <= window.begin
            for name, time in reached.items()
        )

    def _clip(self, window: Collector, problems: Problems) -> Clip:
        clip = window.clip(self.source, self.path, problems, window.begin)
        start = window.begin - self.whole.begin
        until = min(window.end, self.whole.end) - self.whole.begin
        where = f"between {seconds(start)} and {seconds(until)}"
        no_video, no_audio = clip.video_missing, clip.audio_missing
        if no_video and self.source.video is not None and not window.refused:
            no_video = f"no frames {where}"
        if no_audio and self.source.audio is not None:
            no_audio = f"no sound {where}"
        return replace(
            clip,
            start=start,
            origin=self.whole.begin,
            video_missing=no_video,
            audio_missing=no_audio,
            warnings=tuple(problems.news()),
        )


def _ends(item: Picture | Sound) -> float:
    if isinstance(item, Picture):
        return item.time + item.length
    return item.time + len(item.samples) / item.rate


def _overlap(extent: Extent, window: Extent) -> Extent:
    begin = max(extent.begin, window.begin)
    return Extent(begin, max(begin, min(extent.end, window.end)))
