"""Gathers what is wanted of a stretch of a recording while it is decoded, and makes it a Clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from ezav.media.clip import Clip, FrameSpec
from ezav.media.container import Source
from ezav.media.decode import Picture, Problems, Sound
from ezav.media.picture import Converter, UnconvertibleError
from ezav.media.sampling import Sampler
from ezav.media.scan import Extent
from ezav.media.sound import Timeline

# Their streams' lengths count from 0, wherever the stream begins (or ought to).
_FROM_ZERO = {"avi"}
# Theirs are copies of the container's.
_NO_LENGTHS = {"matroska"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for: frame specs and sample rates; an empty tuple for neither."""

    specs: tuple[FrameSpec, ...]
    rates: tuple[int, ...]


class Converters(dict[int | None, Converter]):
    """One converter a size, shared by the specs (and windows) that want it."""

    def __init__(self, source: Source, turned: bool = False) -> None:
        self._aspect = None if source.video is None else source.video.sample_aspect_ratio
        self._turned = turned

    def __missing__(self, short_side: int | None) -> Converter:
        self[short_side] = Converter(short_side, self._aspect, self._turned)
        return self[short_side]


class Collector:
    """Frames and sound between two instants of the file's clock.

    Args:
        wanted: which frames and rates.
        converters: see :class:`Converters`.
        picture: when the picture begins and ends; the specs divide this.
        begin, end: what is outside is left out; infinite for the whole recording.
    """

    def __init__(
        self,
        wanted: Wanted,
        converters: Converters,
        picture: Extent,
        problems: Problems,
        begin: float = -inf,
        end: float = inf,
    ) -> None:
        self.wanted = wanted
        self.begin, self.end = begin, end
        self.samplers = [
            Sampler(
                spec,
                converters[spec.short_side],
                None if spec.every_frame else picture.begin + spec.times(picture.length),
            )
            for spec in wanted.specs
        ]
        self.sound = Timeline(begin, end, problems)
        self.pictures = 0
        self.picture = Extent(inf, -inf)
        """From the first to the end of the last picture that was decoded."""
        self.refused = ""
        """Why pictures were left out."""
        self._earlier: Picture | None = None
        """The last picture that began and, by its own length, ended before `begin`."""

    def add(self, item: Picture | Sound) -> None:
        """The next piece, whichever it is."""
        if isinstance(item, Sound):
            self.sound.add(item)
            return
        if item.time >= self.end:
            self.last_is_shown()
            return
        if self._earlier is not None and item.time > self.begin:
            # Shown until now, whatever length it was given: it is seen in this stretch.
            self._count(self.begin, item.time)
        self._earlier = None
        for sampler in self.samplers:
            # Of every frame, each belongs to the window in which it begins, and comes once.
            if sampler.instants is not None or (item.time >= self.begin and not item.repeated):
                with self._refusing():
                    sampler.add(item)
        if item.time + item.length > self.begin:
            self._count(item.time, item.time + item.length, repeated=item.repeated)
        else:
            self._earlier = item

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Pictures that cannot be converted are left out."""
        try:
            yield
        except UnconvertibleError as error:
            self.refused = str(error)

    def last_is_shown(self) -> None:
        """No further picture begins before `end`: the last one is shown until then."""
        if self._earlier is not None:
            self._count(self.begin, self.end)
            self._earlier = None
        elif self.pictures:
            self.picture.end = max(self.picture.end, self.end)

    def _count(self, begin: float, end: float, repeated: bool = False) -> None:
        self.pictures += not (repeated and self.pictures)
        self.picture.begin = min(self.picture.begin, begin)
        # In order of time: each is shown until the next, whatever length it was given.
        self.picture.end = end

    @property
    def extents(self) -> dict[str, Extent]:
        """When "video" and "audio" began and ended, as decoded."""
        return {"video": self.picture, "audio": Extent(self.sound.start, self.sound.reached)}

    @property
    def first(self) -> float:
        """When the first picture or sound begins; infinite if there is neither."""
        sound = self.sound.start if self.sound.count else inf
        return min(self.picture.begin, sound)

    def clip(self, source: Source, path: str, problems: Problems, origin: float) -> Clip:
        """The clip, with the reason for each modality that is missing; times from `origin`."""
        video = {}
        shown_until = min(self.picture.end, self.end)
        if self.pictures:
            for sampler in self.samplers:
                frames = None
                with self._refusing():
                    frames = sampler.finish(shown_until, origin)
                if frames is not None:
                    video[sampler.spec] = frames
        if self.refused and video:
            problems.note(f"some {self.refused}")
        audio = {}
        for rate in self.wanted.rates:
            waveform = self.sound.waveform(rate, origin)
            if waveform is not None:
                audio[rate] = waveform
        ends = [shown_until] if video else []
        if audio:
            ends.append(self.sound.reached)
        no_video, no_audio = self._missing(source, bool(video), bool(audio))
        return Clip(
            path=path,
            video=video,
            audio=audio,
            video_missing=no_video,
            audio_missing=no_audio,
            origin=origin if ends else 0.0,
            duration=max(ends) - origin if ends else 0.0,
            claimed=source.claimed,
            frames_decoded=self.pictures,
            warnings=tuple(problems.lines()),
            truncated=problems.truncated,
        )

    def _missing(self, source: Source, video: bool, audio: bool) -> tuple[str, str]:
        of = "" if source.claimed is None else f" of {seconds(source.claimed)} claimed"
        no_frames, no_samples = f"0 frames decoded{of}", f"0 samples decoded{of}"
        both = source.video is not None and source.audio is not None and self.wanted.specs
        if both and self.wanted.rates and not video and not audio:
            no_frames = no_samples = f"0 frames and 0 samples decoded{of}"
        no_video = "" if video or not self.wanted.specs else self.refused or no_frames
        no_audio = "" if audio or not self.wanted.rates else no_samples
        if source.video is None and no_video:
            no_video = "no video stream"
        if source.audio is None and no_audio:
            no_audio = "no audio stream"
        return no_video, no_audio


def note_losses(
    decoded: Mapping[str, Extent],
    promised: Mapping[str, Extent],
    source: Source,
    problems: Problems,
) -> None:
    """Tell `problems` of a stream that gave less than the file says it holds.

    Args:
        decoded: when "video" and "audio" began and ended.
        promised: the same as their packets have it, of one of them or both.
        source: the file, with no other streams than those that were decoded.
        problems: told what is missing; it knows where the packets of all streams end.
    """
    found = {name: extent for name, extent in decoded.items() if extent.length > 0}
    if not found:
        return
    first = min(0.0, *(extent.begin for extent in found.values()))
    last = max(extent.end for extent in found.values())
    # Of all streams together; one of them may well be shorter than the whole. Of those that are
    # read what was decoded counts, of others their packets.
    read = {stream.index for stream in (source.video, source.audio) if stream is not None}
    ends = [last, *(end for index, end in problems.ends.items() if index not in read)]
    whole = source.length - problems.skipped if source.length else 0.0
    cut = _short(max(ends) - first, whole)
    for name, stream in (("video", source.video), ("audio", source.audio)):
        if stream is None:
            continue
        what = "picture" if name == "video" else "sound"
        if name not in found:
            problems.note(f"{what}: nothing decoded")
            problems.truncated = True
            continue
        length = reached = found[name].length
        if source.exact and stream.duration and not _NO_LENGTHS & source.formats:
            claimed = source.length_of(stream) - problems.skipped
            if _FROM_ZERO & source.formats:
                reached = last - first
        elif cut:
            claimed, reached = whole, 0.0
        else:
            claimed = promised.get(name, Extent()).length
        if _short(reached, claimed):
            problems.note(f"{what} truncated: {seconds(length)} of {seconds(claimed)}")
            problems.truncated = True


def _short(length: float, claimed: float) -> bool:
    return length < 0.95 * claimed - 0.1


def seconds(value: float) -> str:
    """Seconds for people.

    Example:
        >>> seconds(60.0), seconds(0.2554)
        ('60 s', '0.26 s')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".") + " s"
