"""What a media file becomes: frames with times, a mono waveform, reasons for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ezav.errors import EzavError

Status = Literal["ok", "damaged", "failed"]
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Which frames are wanted, and how large.

    The clip is cut into equal intervals, and each gives the frame shown at its middle:

    - `count = n`: n intervals (`n = 1`: the middle frame);
    - `fps = r`: about r intervals a second, at least one, stretched so that a whole number of
      them covers the clip;
    - neither: every frame, at its own time.

    Times are presentation times, so a variable frame rate is sampled correctly. A frame is shown
    until the next one begins; the same frame may be given twice.

    Attributes:
        count: number of frames.
        fps: frames per second.
        short_side: larger frames are shrunk until their short side has this many pixels; frames
            are never enlarged. None keeps the size of the file.

    Example:
        >>> FrameSpec.uniform(8, short_side=224)
        FrameSpec(count=8, fps=None, short_side=224)
        >>> FrameSpec.uniform(8).times(duration=4.0).tolist()
        [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
        >>> FrameSpec.at_fps(2).times(duration=1.5).tolist()
        [0.25, 0.75, 1.25]
    """

    count: int | None = None
    fps: float | None = None
    short_side: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.fps is not None:
            raise EzavError("frames are chosen by a count or by fps, not both")
        if self.count is not None and self.count < 1:
            raise EzavError(f"cannot choose {self.count} frames", "ask for at least 1")
        if self.fps is not None and not 0 < self.fps < 10_000:
            raise EzavError(f"cannot choose frames at {self.fps} fps", "ask for more than 0")
        if self.short_side is not None and not 0 < self.short_side <= 16_384:
            raise EzavError(f"cannot scale frames to a short side of {self.short_side} pixels")

    @classmethod
    def uniform(cls, count: int, short_side: int | None = None) -> FrameSpec:
        """`count` frames at the middles of equal intervals."""
        return cls(count=count, short_side=short_side)

    @classmethod
    def at_fps(cls, fps: float, short_side: int | None = None) -> FrameSpec:
        """About one frame every 1/fps seconds, however long the clip is."""
        return cls(fps=fps, short_side=short_side)

    @classmethod
    def middle(cls, short_side: int | None = None) -> FrameSpec:
        """The one frame in the middle."""
        return cls(count=1, short_side=short_side)

    @classmethod
    def every(cls, short_side: int | None = None) -> FrameSpec:
        """Every decoded frame at its own time."""
        return cls(short_side=short_side)

    @property
    def every_frame(self) -> bool:
        """Neither a count nor a rate is given."""
        return self.count is None and self.fps is None

    def times(self, duration: float) -> NDArray[np.float64]:
        """The instants (seconds from the first frame) at which a picture of `duration` is sampled.

        Raises:
            EzavError: the spec asks for every frame; those have their own times.
        """
        count = self.count
        if count is None:
            if self.fps is None:
                raise EzavError("'every frame' has no times of its own")
            count = max(1, round(duration * self.fps))
        return (np.arange(count, dtype=np.float64) + 0.5) * np.float64(duration / count)


@dataclass(frozen=True, slots=True)
class Frames:
    """Pictures of one clip, upright and with square pixels.

    Attributes:
        images: uint8 RGB `[T, H, W, 3]`, T ≥ 1.
        times: float64 `[T]`, seconds from the beginning of the clip: the middles of the sampled
            intervals, or the frames' own times where every frame is given.
    """

    images: NDArray[np.uint8]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Waveform:
    """The sound of one clip, all channels averaged.

    Attributes:
        samples: float32 `[S]`, S ≥ 1, nominally within [-1, 1] (lossy codecs overshoot a little).
        sample_rate: samples per second.
        start: seconds from the beginning of the clip to the first sample (0 for most files).
    """

    samples: NDArray[np.float32]
    sample_rate: int
    start: float = 0.0

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Clip:
    """A media file as read, or the reasons why not.

    Attributes:
        path: the file.
        video: for each :class:`FrameSpec` asked for, its frames; empty if there is no picture.
        audio: for each sample rate asked for, the waveform; empty if there is no sound.
        video_missing, audio_missing: why that modality is absent ("no audio stream", …); empty
            when it is there or was not asked for.
        start: seconds from the beginning of the file; 0 but for windows of a long recording, whose
            times are counted from the beginning of the window.
        origin: that beginning on the file's own clock: the first picture or sound of those that
            were asked for.
        duration: seconds decoded, the longer of picture and sound, from the beginning of the clip.
        claimed: seconds the file says it has; None if it does not say.
        frames_decoded: frames decoded, before any choice.
        warnings: what was wrong with a file that could still be read (truncation, damage).
        truncated: picture or sound is much shorter than the file says it is.
        status: "ok", "damaged" (something was read, with warnings) or "failed" (nothing was).
    """

    path: str
    video: dict[FrameSpec, Frames] = field(default_factory=dict)
    audio: dict[int, Waveform] = field(default_factory=dict)
    video_missing: str = ""
    audio_missing: str = ""
    start: float = 0.0
    origin: float = 0.0
    duration: float = 0.0
    claimed: float | None = None
    frames_decoded: int = 0
    warnings: tuple[str, ...] = ()
    truncated: bool = False

    @property
    def status(self) -> Status:
        """ok, damaged or failed."""
        if not self.video and not self.audio:
            return "failed"
        return "damaged" if self.warnings else "ok"

    @property
    def reason(self) -> str:
        """One line: why nothing was read, or what was wrong; empty for a whole clip."""
        parts = list(self.warnings)
        if self.status == "failed":
            missing = [self.video_missing, self.audio_missing]
            parts = [part for part in dict.fromkeys(missing) if part] + parts
        return "; ".join(parts)

    @property
    def frames(self) -> Frames | None:
        """The frames when one spec was asked for; None if there is no picture."""
        return _only(self.video, "frame specs")

    @property
    def waveform(self) -> Waveform | None:
        """The waveform when one rate was asked for; None if there is no sound."""
        return _only(self.audio, "sample rates")


def _only(found: Mapping[Any, _Value], what: str) -> _Value | None:
    if len(found) > 1:
        raise EzavError(f"the clip was read for {len(found)} {what}", "name the one you mean")
    return next(iter(found.values()), None)
