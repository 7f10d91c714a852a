"""What an encoder is: a card that says where it comes from, and `encode`.

An encoder is frozen. It is a class with two members, `card` and `encode`; a user's own is loaded
by its import path (:mod:`ezav.encoders.registry`). Media comes in as plain numpy arrays, so that
one decoding of a file feeds several encoders (:class:`MediaNeeds`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ezav.errors import EzavError

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["visual", "audio", "text"]
"""The three kinds of encoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaNeeds:
    """What an encoder asks of the decoder.

    Attributes:
        fps: frames a second, sampled at the middles of equal steps; or
        frames: this many frames of the whole clip, at uniform midpoints (1 is the middle frame).
        short_side: frames may be shrunk until their short side has this many pixels; they are
            never enlarged. None asks for the file's own size.
        sample_rate: mono samples a second of the waveform, in Hz.

    Example:
        >>> MediaNeeds(fps=2).sample_times(2.0).tolist()
        [0.25, 0.75, 1.25, 1.75]
        >>> MediaNeeds(frames=1).sample_times(3.0).tolist()
        [1.5]
    """

    fps: float | None = None
    frames: int | None = None
    short_side: int | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and self.frames is not None:
            raise EzavError("an encoder asks for both fps and a number of frames", "give one")
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise EzavError(f"{entry.name} must be a positive number, not {value}")

    def sample_times(self, duration: float) -> np.ndarray:
        """The times `[F]` in seconds of the frames wanted of a clip of `duration` seconds.

        With `fps`, a clip of any length gives at least one frame; the step is stretched so that
        a whole number of equal steps covers the clip.

        Raises:
            EzavError: the encoder asks for no frames, or the duration is not positive.
        """
        if not (math.isfinite(duration) and duration > 0):
            raise EzavError(f"a clip's duration must be positive, not {duration}")
        if self.frames is not None:
            count = self.frames
        elif self.fps is not None:
            count = max(1, round(duration * self.fps))
        else:
            raise EzavError("this encoder asks for no frames", "give fps or frames")
        return (np.arange(count) + 0.5) * (duration / count)


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one clip: `images` uint8 RGB `[F, H, W, 3]`, `times` `[F]` seconds, rising.

    Raises:
        EzavError: the arrays do not fit together, or there is no frame.
    """

    images: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise EzavError(f"frames must be uint8 [F, H, W, 3], not {self.images.dtype} {shape}")
        if 0 in shape or self.times.shape != (shape[0],):
            raise EzavError(f"{shape[0]} frames with {len(self.times)} times: need one time each")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono sound of one clip: `samples` float32 `[S]` in [-1, 1], first sample at `start` seconds.

    Raises:
        EzavError: the samples are not a finite, non-empty row.

    Example:
        >>> Waveform(np.zeros(8000, dtype=np.float32), 16000).duration
        0.5
    """

    samples: np.ndarray
    sample_rate: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32 or not len(self.samples):
            shape = self.samples.shape
            raise EzavError(f"a waveform must be float32 [S], not {self.samples.dtype} {shape}")
        if not np.isfinite(self.samples).all():
            raise EzavError("a waveform holds NaN or infinite samples")

    @property
    def duration(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / self.sample_rate


class Encoded(NamedTuple):
    """One modality of one clip: `values` float32 `[T, d]`, `times` float32 `[T]`, token middles."""

    values: np.ndarray
    times: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """Where an encoder comes from and what it was trained on.

    Attributes:
        name: the name in the registry (or the import path of a user's own encoder).
        kind: "visual", "audio" or "text".
        dimension: d of its tokens.
        needs: the media it asks for (empty for text).
        source: a hub id, a package, a folder or an address; what :meth:`encode` really uses.
        revision: the commit, version or weights hash in use.
        licence: of the weights.
        trained_on: names of the data sets it was trained on (see :mod:`ezav.encoders.overlap`).
        space: encoders of equal space give vectors that can be compared by cosine ("clip:…").
        templates: prompts of a text encoder.
        notes: anything a user should know, in a sentence.
    """

    name: str
    kind: Kind
    dimension: int
    needs: MediaNeeds = field(default_factory=MediaNeeds)
    source: str
    revision: str
    licence: str
    trained_on: tuple[str, ...] = ()
    space: str | None = None
    templates: tuple[str, ...] = ()
    notes: str = ""

    @property
    def label(self) -> str:
        """Name and revision, as features and class embeddings record it."""
        return f"{self.name}@{self.revision}"

    def but(self, **changes: Any) -> EncoderCard:
        """The card with some entries changed.

        Example:
            >>> card = EncoderCard(
            ...     name="x", kind="text", dimension=3, source="me", revision="1", licence="MIT"
            ... )
            >>> card.but(revision="2").label
            'x@2'
        """
        return replace(self, **changes)


@runtime_checkable
class VisualEncoder(Protocol):
    """Frames in, tokens out. `encode` gives one :class:`Encoded` a clip, in order.

    A clip encoded alone and within a list gives the same tokens.
    """

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]: ...


@runtime_checkable
class AudioEncoder(Protocol):
    """Waveforms at `card.needs.sample_rate` in, tokens out, one :class:`Encoded` a clip."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]: ...


@runtime_checkable
class TextEncoder(Protocol):
    """Names in, float32 `[C, d]` with rows of unit length out, in the order of the names."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, names: Sequence[str]) -> Tensor: ...


def check_sample_rate(clip: Waveform, sample_rate: int) -> None:
    """Refuse a waveform at another rate than the encoder's: it would be silently wrong.

    Raises:
        EzavError: the rates differ.
    """
    if clip.sample_rate != sample_rate:
        raise EzavError(
            f"a waveform at {clip.sample_rate} Hz was given to an encoder for {sample_rate} Hz",
            "decode at card.needs.sample_rate",
        )
