"""What an encoder is: a card that says where it comes from, and `encode`.

An encoder is frozen. It is a class with two members, `card` and `encode`; a user's own is loaded
by its import path (:mod:`ezav.encoders.registry`). Media comes in as plain numpy arrays, so that
one decoding of a file feeds several encoders (:class:`MediaNeeds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ezav.errors import EzavError
from ezav.media.clip import Frames, FrameSpec, Waveform

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
        short_side: pixels of the frames' short side; None asks for the file's own size.
        sample_rate: mono samples a second of the waveform, in Hz.

    Example:
        >>> MediaNeeds(fps=2, short_side=64).frame_spec
        FrameSpec(count=None, fps=2, short_side=64)
        >>> MediaNeeds(sample_rate=16000).frame_spec is None
        True
    """

    fps: float | None = None
    frames: int | None = None
    short_side: int | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.frame_spec is None and self.short_side is not None:
            raise EzavError("a short side without frames", "give fps or frames as well")
        if self.sample_rate is not None and self.sample_rate <= 0:
            raise EzavError(f"a sample rate must be positive, not {self.sample_rate}")

    @property
    def frame_spec(self) -> FrameSpec | None:
        """What to ask `ezav.media.read_clip` for; None without frames."""
        if self.fps is None and self.frames is None:
            return None
        return FrameSpec(count=self.frames, fps=self.fps, short_side=self.short_side)


LARGEST = 1e9
"""No encoder's feature is larger. Squares of numbers not much larger than its square overflow, and
long before that everything else a float32 is added to is lost beside them."""


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
        identity: a digest of weights, tokenizer and preprocessing
            (:mod:`ezav.encoders.identity`); encoders of this package have one once they are
            loaded, one's own may.
        licence: of the weights.
        attribution: whom to name where the weights or features of them are used ("" where the
            licence does not ask for it).
        trained_on: names of the data sets it was trained on (see :mod:`ezav.encoders.overlap`).
        space: encoders of equal space give vectors that can be compared by cosine ("clip:…").
        label_set: the data set whose labels it knows by name, if it does (see :class:`Labelled`).
        broad_labels: its labels are broad categories ("animals"), which say little of a name
            beside what another encoder sees.
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
    attribution: str = ""
    trained_on: tuple[str, ...] = ()
    space: str | None = None
    label_set: str | None = None
    broad_labels: bool = False
    templates: tuple[str, ...] = ()
    notes: str = ""
    identity: str = ""

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

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        """The tokens of each clip's pictures, `[T, d]` with their times in seconds."""
        ...


@runtime_checkable
class AudioEncoder(Protocol):
    """Waveforms at `card.needs.sample_rate` in, tokens out, one :class:`Encoded` a clip."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        """The tokens of each clip's sound, `[T, d]` with their times in seconds."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Names in, float32 `[C, d]` with rows of unit length out, in the order of the names."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, names: Sequence[str]) -> Tensor:
        """A vector of unit length for each name, float32 `[C, d]`."""
        ...


@runtime_checkable
class Labelled(Protocol):
    """A visual or audio encoder that also knows labels by name: a classifier.

    Its classifier reads its tokens, so that scores need no second pass over the media: stored
    tokens have them too. Scores are logits, or logarithms of probabilities that need not sum to
    1: their softmax is the distribution over the labels (:mod:`ezav.encoders.words`). Synonyms
    within a label are separated by a comma and a space.
    """

    @property
    def card(self) -> EncoderCard: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """L names in the order of the scores; none where this checkpoint has no classifier."""
        ...

    def label_scores(self, tokens: np.ndarray) -> np.ndarray:
        """Float32 `[T, L]` of this encoder's tokens `[T, d]`."""
        ...


@runtime_checkable
class HasHead(Labelled, Protocol):
    """A classifier whose logits are one linear layer away from the features it gives."""

    def head(self) -> tuple[Tensor, Tensor]:
        """Weight `[L, d]` and bias `[L]` of that layer, on the CPU."""
        ...


def check_sample_rate(clip: Waveform, sample_rate: int) -> None:
    """Refuse a waveform at another rate than the encoder's: it would be silently wrong.

    Raises:
        EzavError: the rates differ.

    Example:
        >>> import numpy as np
        >>> check_sample_rate(Waveform(np.zeros(8, np.float32), 8000), 16000)
        Traceback (most recent call last):
        ezav.errors.EzavError: a waveform at 8000 Hz was given to an encoder for 16000 Hz; ...
    """
    if clip.sample_rate != sample_rate:
        raise EzavError(
            f"a waveform at {clip.sample_rate} Hz was given to an encoder for {sample_rate} Hz",
            "decode at card.needs.sample_rate",
        )
