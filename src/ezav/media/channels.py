"""The channels of a sound as one: their mean, unless they cancel each other out."""

from __future__ import annotations

from math import exp

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

_TYPES = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}
_CANCELLED, _RESTORED = 0.25, 0.5
"""Of the power that the mean of unrelated channels would have: below the one the mean is given
up, above the other it is taken again."""
_MEMORY = 0.25
"""Seconds after which what was heard counts for 1/e."""
_SILENCE = 1e-6
"""Power of a sample that is too little to tell (-60 dB): codecs begin with a faint rustle."""


_EVIDENCE = 0.1
"""Seconds of sound before the mean is given up: the first frames of a codec tell little."""


class UnknownSamplesError(ValueError):
    """Samples of a kind that cannot be read; the text names it."""


def channels(frame: AudioFrame) -> NDArray[np.float32]:
    """The samples of a frame, float32 `[C, S]`, full scale at 1.

    Raises:
        UnknownSamplesError: samples of a kind that is not known.

    Example:
        >>> frame = AudioFrame.from_ndarray(
        ...     np.array([[-32768, 0, 16384, 16384]], dtype="int16"), format="s16", layout="stereo"
        ... )
        >>> channels(frame).tolist()
        [[-1.0, 0.5], [0.0, 0.5]]
    """
    kind = _TYPES.get(frame.format.name.removesuffix("p"))
    if kind is None:
        raise UnknownSamplesError(f"samples of the kind '{frame.format.name}' cannot be read")
    count = frame.layout.nb_channels
    if frame.format.is_planar:
        # Of 8 channels and more PyAV also gives planes that are none, somewhere in memory.
        planes = frame.planes[:count]
        rows = [np.frombuffer(memoryview(p), kind, frame.samples) for p in planes]
        values = np.stack(rows)
    else:
        packed = np.frombuffer(memoryview(frame.planes[0]), kind, frame.samples * count)
        values = packed.reshape(-1, count).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
    # Full scale of 16, 32, 64 bits is half their range.
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.itemsize - 1)
    return np.ascontiguousarray(values, np.float32) / np.float32(scale)


class Mixer:
    """Frames of one sound, each to float32 `[S]`: the mean of the channels.

    The mean of a channel and its opposite is silence (a microphone wired the wrong way round).
    Where the mean has lost most of the power, the strongest channel stands in for it, until the
    mean is sound again; the change is a fade over one frame, so that it is not heard.

    Attributes:
        cancelled: whether that has happened.

    Example:
        >>> wave = np.sin(np.arange(4000) / 9).astype(np.float32)
        >>> frame = AudioFrame.from_ndarray(np.stack([wave, -wave]), "fltp", "stereo")
        >>> frame.sample_rate = 16000
        >>> mixer = Mixer()
        >>> bool(np.allclose(mixer.mono(frame), wave)), mixer.cancelled
        (True, True)
    """

    def __init__(self) -> None:
        self.cancelled = False
        self._channel: int | None = None
        self._begun = False
        self._of_mean = 0.0
        self._of_each = np.zeros(0)
        self._heard = 0.0

    def mono(self, frame: AudioFrame) -> NDArray[np.float32]:
        """The frame with one channel.

        Raises:
            UnknownSamplesError: as :func:`channels`.
        """
        values = channels(frame)
        first: NDArray[np.float32] = values[0]
        if len(values) == 1:
            return first
        mean = first.copy()
        for row in values[1:]:  # several times faster than mean(axis=0)
            mean += row
        mean /= np.float32(len(values))
        before = self._channel
        self._listen(values, mean, frame.samples / (frame.sample_rate or 1))
        after = self._channel
        self.cancelled |= after is not None
        new = mean if after is None else values[after]
        if before == after or not self._begun:
            self._begun = True
            return new
        old = mean if before is None or before >= len(values) else values[before]
        fade = np.linspace(0, 1, len(new), dtype=np.float32)
        return old * (1 - fade) + new * fade

    def _listen(
        self, values: NDArray[np.float32], mean: NDArray[np.float32], seconds: float
    ) -> None:
        """Choose the mean or a channel by the power of what was heard lately."""
        of_mean = float(np.dot(mean, mean))
        of_each = np.array([float(np.dot(row, row)) for row in values])
        if not np.isfinite(of_mean + of_each.sum()):
            return
        if len(of_each) != len(self._of_each):
            self._of_mean, self._of_each, self._channel = 0.0, np.zeros(len(of_each)), None
        kept = exp(-seconds / _MEMORY)
        self._of_mean = kept * self._of_mean + of_mean
        self._of_each = kept * self._of_each + of_each
        # Unrelated channels add up their powers; the mean divides that by the square of their
        # number.
        unrelated = self._of_each.sum() / len(of_each) ** 2
        if float(of_each.max()) <= _SILENCE * len(mean):
            return
        self._heard += seconds
        if self._heard < _EVIDENCE:
            return
        if self._channel is None and self._of_mean < _CANCELLED * unrelated:
            self._channel = int(self._of_each.argmax())
        elif self._channel is not None and self._of_mean > _RESTORED * unrelated:
            self._channel = None
