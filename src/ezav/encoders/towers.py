"""What the neural encoders share: batching, mixed precision, windows, prompts.

A family's file says how its model is loaded and what it makes of a batch; the shapes of the
protocols (:mod:`ezav.encoders.base`) are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.device import choose_device
from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds, check_sample_rate
from ezav.encoders.identity import files_of
from ezav.encoders.loading import find_source
from ezav.encoders.pictures import Preprocessing, windows
from ezav.errors import EzavError
from ezav.media.clip import Frames, Waveform

if TYPE_CHECKING:
    from torch import Tensor

_PRECISIONS = ("float32", "float16", "bfloat16")


class Neural:
    """A frozen network in evaluation mode.

    Args:
        card: the registry's card; `self.card` is the one in force.
        source: a local folder or a hub id; default the card's.
        revision: a commit of the hub, or a name of your own for a folder's weights.
        device: "cpu", "cuda", "cuda:1", …
        precision: "float32", or "float16" / "bfloat16" for mixed precision (autocast): faster on
            a GPU, and then tokens depend a little on the batch.
        batch_size: frames, windows or sentences at a time.

    Raises:
        EzavError: files are missing or do not fit, the device is not there, an option is unknown.
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        device: str = "cpu",
        precision: str = "float32",
        batch_size: int = 16,
    ) -> None:
        if precision not in _PRECISIONS:
            raise EzavError(f"no precision '{precision}'", f"there are {', '.join(_PRECISIONS)}")
        if batch_size < 1:
            raise EzavError(f"a batch of {batch_size} is empty", "give `batch_size=1` or more")
        self._device, self._precision, self._batch = choose_device(device), precision, batch_size
        self.card = self._open(card, source, revision)

    def _open(
        self, card: EncoderCard, source: str | Path | None, revision: str | None
    ) -> EncoderCard:
        """Find the files; the card in force."""
        self.source, card = find_source(card, source, revision)
        if card.space is not None:  # another checkpoint of the family is another space
            card = card.but(space=f"{card.space}:{self.source.revision}")
        return card

    def made_of(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """What the identity covers (:mod:`ezav.encoders.identity`)."""
        return files_of(self.source, self.card.kind), {}

    def _run(self, items: Iterable[Any], size: int | None = None) -> np.ndarray:
        """`_embed` over batches of items, `size` instead of `batch_size` each; float32 `[n, d]`."""
        import torch

        dtype = getattr(torch, self._precision)
        rows: list[np.ndarray] = []
        with (
            torch.inference_mode(),
            torch.autocast(self._device.split(":")[0], dtype=dtype, enabled=dtype != torch.float32),
        ):
            for batch in _batches(items, size or self._batch):
                rows.append(self._embed(batch).float().cpu().numpy())
        return np.concatenate(rows)

    def _embed(self, batch: list[Any]) -> Tensor:
        """Vectors `[n, d]` of n items (pictures, windows, sentences)."""
        raise RuntimeError(f"{type(self).__name__} does not define _embed")

    def _learn_dimension(self, dimension: int) -> None:
        self.card = self.card.but(dimension=dimension)


def pooled(output: Any) -> Tensor:
    """The vectors of a tower's output: older models give a tensor, newer ones an object.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> vectors = torch.eye(2)
        >>> pooled(vectors) is vectors, pooled(SimpleNamespace(pooler_output=vectors)) is vectors
        (True, True)
    """
    vectors: Tensor = output if hasattr(output, "shape") else output.pooler_output
    return vectors


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class PictureEncoder(Neural):
    """An image network: one token a frame.

    Args:
        fps: frames a second; default the card's.
        frames: instead, this many frames of the whole clip (1: the middle frame, as ClipClap).
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        fps: float | None = None,
        frames: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(card, source, revision, **options)
        self._preprocessing = self._prescribed()
        wanted = MediaNeeds(fps=card.needs.fps, frames=card.needs.frames)
        if fps is not None or frames is not None:
            wanted = MediaNeeds(fps=fps, frames=frames)
        short = self._preprocessing.short_side
        needs = MediaNeeds(fps=wanted.fps, frames=wanted.frames, short_side=short)
        self.card = self.card.but(needs=needs)

    def _prescribed(self) -> Preprocessing:
        return Preprocessing.of(self.source)

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        """Tokens `[F, d]` of each clip: its frames, in order, at their times."""
        if not clips:
            return []
        values = self._run(self._pictures(clips))
        ends = np.cumsum([len(clip) for clip in clips])[:-1]
        return [
            Encoded(part, clip.times.astype(np.float32))
            for part, clip in zip(np.split(values, ends), clips)
        ]

    def _pictures(self, clips: Sequence[Frames]) -> Iterator[Tensor]:
        for clip in clips:
            for start in range(0, len(clip), self._batch):
                yield from self._preprocessing(
                    clip.images[start : start + self._batch], self._device
                )

    def _stacked(self, batch: list[Tensor]) -> Tensor:
        import torch

        return torch.stack(batch)


class VideoEncoder(PictureEncoder):
    """A video network: one token a window of `self._length` frames.

    A clip of F frames has about F / length windows, at least one; see
    :func:`ezav.encoders.pictures.windows`.
    """

    _length: int

    def _at_least_one(self, window_frames: int) -> int:
        if window_frames < 1:
            raise EzavError(
                f"encoder '{self.card.name}': a window of {window_frames} frames",
                "give `window_frames=1` or more",
            )
        return window_frames

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        """Tokens `[T, d]` of each clip, at the mean times of their frames."""
        if not clips:
            return []
        plans = [windows(len(clip), self._length) for clip in clips]
        values = self._run(
            self._preprocessing(clip.images[list(window)], self._device)
            for clip, plan in zip(clips, plans)
            for window in plan
        )
        ends = np.cumsum([len(plan) for plan in plans])[:-1]
        return [
            Encoded(
                part,
                np.array([clip.times[list(w)].mean() for w in plan], dtype=np.float32),
            )
            for part, clip, plan in zip(np.split(values, ends), clips, plans)
        ]


class SoundEncoder(Neural):
    """An audio network over windows of equal length, at most `window` seconds each.

    Args:
        window: seconds; default `longest`, what the network was trained on.
    """

    longest: float

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        window: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(card, source, revision, **options)
        self._window = self.longest if window is None else float(window)
        if not 0 < self._window <= self.longest:
            raise EzavError(
                f"encoder '{card.name}': a window of {window} seconds",
                f"give more than 0 and at most {self.longest} seconds",
            )

    @property
    def _rate(self) -> int:
        rate = self.card.needs.sample_rate
        if rate is None:
            raise RuntimeError(f"{type(self).__name__} has no sample rate")
        return rate

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        """Tokens `[T, d]` of each clip, one a window, at the windows' middles.

        Raises:
            EzavError: a waveform has another sample rate than the card asks for.
        """
        if not clips:
            return []
        plans = []
        for clip in clips:
            check_sample_rate(clip, self._rate)
            plans.append(self._windows(clip))
        values = self._run(samples for plan in plans for samples, _ in plan)
        ends = np.cumsum([len(plan) for plan in plans])[:-1]
        return [
            Encoded(part, np.array([time for _, time in plan], dtype=np.float32))
            for part, plan in zip(np.split(values, ends), plans)
        ]

    def _windows(self, clip: Waveform) -> list[tuple[np.ndarray, float]]:
        """Equal pieces of the sound, and their middles in seconds."""
        # The tolerance: a sample too many is not worth a window of its own.
        count = max(1, int(np.ceil(clip.duration / self._window - 1e-3)))
        longest = round(self._window * self._rate)
        pieces, start = [], 0
        for piece in np.array_split(clip.samples, count):
            middle = clip.start + (start + len(piece) / 2) / self._rate
            pieces.append((piece[:longest], middle))
            start += len(piece)
        return pieces
