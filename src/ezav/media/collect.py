"""Gathers what is wanted of a stretch of a recording while it is decoded, and makes it a Clip."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import av

from ezav.media.clip import Clip, FrameSpec
from ezav.media.container import Source
from ezav.media.decode import Picture, Problems, Sound
from ezav.media.picture import Converter
from ezav.media.sampling import Sampler
from ezav.media.scan import Extent
from ezav.media.sound import Timeline

# Other containers only estimate how long they are, from the bit rate.
_EXACT = {"mov", "mp4", "matroska", "avi", "wav", "asf", "ogg", "flac", "aiff", "w64"}


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
        self._earlier: Picture | None = None
        """The last picture that began and, by its own length, ended before `begin`."""

    def add(self, item: Picture | Sound) -> None:
        """The next piece, whichever it is."""
        if isinstance(item, Sound):
            self.sound.add(item)
            return
        if self._earlier is not None and item.time > self.begin:
            # Shown until now, whatever length it was given: it is seen in this stretch.
            self._count(self.begin, min(item.time, self.end))
        self._earlier = None
        if item.time >= self.end:
            return
        for sampler in self.samplers:
            # Of every frame, each belongs to the window in which it begins.
            if sampler.instants is not None or item.time >= self.begin:
                sampler.add(item)
        if item.time + item.length > self.begin:
            self._count(item.time, item.time + item.length)
        else:
            self._earlier = item

    def _count(self, begin: float, end: float) -> None:
        self.pictures += 1
        self.picture.begin = min(self.picture.begin, begin)
        # In order of time: each is shown until the next, whatever length it was given.
        self.picture.end = end

    @property
    def first(self) -> float:
        """When the first picture or sound begins; infinite if there is neither."""
        sound = self.sound.start if self.sound.count else inf
        return min(self.picture.begin, sound)

    def clip(self, source: Source, path: str, problems: Problems, origin: float) -> Clip:
        """The clip, with the reason for each modality that is missing; times from `origin`."""
        video = {}
        if self.pictures:
            for sampler in self.samplers:
                frames = sampler.finish(min(self.picture.end, self.end), origin)
                if frames is not None:
                    video[sampler.spec] = frames
        audio = {}
        for rate in self.wanted.rates:
            waveform = self.sound.waveform(rate, origin)
            if waveform is not None:
                audio[rate] = waveform
        ends = [self.picture.end] if video else []
        if audio:
            ends.append(self.sound.reached)
        no_video, no_audio = self._missing(source, bool(video), bool(audio))
        return Clip(
            path=path,
            video=video,
            audio=audio,
            video_missing=no_video,
            audio_missing=no_audio,
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
        no_video = "" if video or not self.wanted.specs else no_frames
        no_audio = "" if audio or not self.wanted.rates else no_samples
        if source.video is None and no_video:
            no_video = "no video stream"
        if source.audio is None and no_audio:
            no_audio = "no audio stream"
        return no_video, no_audio


def note_losses(collector: Collector, source: Source, problems: Problems, promised: Extent) -> None:
    """Tell `problems` of a stream that gave less than the file says it holds.

    `promised` is the picture's extent as its packets have it, for containers that do not say.
    """
    wanted = collector.wanted
    sound = collector.sound.reached - collector.sound.start
    lengths = {"picture": max(0.0, collector.picture.length), "sound": sound}
    streams = {
        "picture": source.video if wanted.specs else None,
        "sound": source.audio if wanted.rates else None,
    }
    exact = _EXACT & set(source.container.format.name.split(","))
    for name, stream in streams.items():
        if stream is None or not any(lengths.values()):
            continue
        claimed = 0.0
        if exact and stream.duration and stream.time_base:
            claimed = float(stream.duration * stream.time_base)
        elif exact and source.container.duration and len(source.container.streams) == 1:
            claimed = source.container.duration / av.time_base
        elif name == "picture":
            claimed = promised.length
        if not lengths[name]:
            problems.note(f"{name}: nothing decoded")
            problems.truncated = True
        elif lengths[name] < 0.95 * claimed - 0.1:
            problems.note(f"{name} truncated: {seconds(lengths[name])} of {seconds(claimed)}")
            problems.truncated = True


def seconds(value: float) -> str:
    """Seconds for people.

    Example:
        >>> seconds(60.0), seconds(0.2554)
        ('60 s', '0.26 s')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".") + " s"
