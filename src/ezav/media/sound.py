"""Pieces of sound to one waveform on the clip's clock, at any sample rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from ezav.media.clip import Waveform
from ezav.media.decode import Problems, Sound

_GAP = 0.1
"""Seconds of missing sound from which silence is put in, so that what follows keeps its time."""
_CHUNK = 1 << 20
"""Samples resampled in one go."""


@dataclass(slots=True)
class Timeline:
    """Collects sound between two instants of the file's clock; what is outside is cut off.

    Args:
        begin, end: seconds on the file's clock; may be infinite.
        problems: told when a gap is filled.
    """

    begin: float
    end: float
    problems: Problems
    rate: int = 0
    start: float = 0.0
    """Time of the first sample."""
    count: int = 0
    pieces: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def reached(self) -> float:
        """The time after the last sample."""
        return self.start + self.count / self.rate if self.rate else self.start

    def add(self, sound: Sound) -> None:
        """Append a piece; silence before it if more than a tenth of a second is missing."""
        first, last = 0, len(sound.samples)
        if sound.time < self.begin:
            first = min(last, round((self.begin - sound.time) * sound.rate))
        if sound.time + last / sound.rate > self.end:
            last = max(first, round((self.end - sound.time) * sound.rate))
        if first == last:
            return
        samples, time = sound.samples[first:last], sound.time + first / sound.rate
        if not self.rate:
            self.rate, self.start = sound.rate, time
        elif sound.rate != self.rate:
            samples = resample(samples, sound.rate, self.rate)
        missing = time - self.reached
        if missing > _GAP:
            self.problems.note(
                f"sound has a gap of {missing:.2f} s after {self.reached - self.start:.2f} s"
            )
            self._append(np.zeros(round(missing * self.rate), np.float32))
        self._append(samples)

    def _append(self, samples: NDArray[np.float32]) -> None:
        self.pieces.append(samples)
        self.count += len(samples)

    def waveform(self, rate: int, origin: float) -> Waveform | None:
        """All of it at `rate`, begun so many seconds after `origin`; None if there was nothing."""
        if not self.count:
            return None
        samples = np.concatenate(self.pieces)
        if not np.isfinite(samples).all():
            self.problems.note("sound damaged: samples that are not numbers, set to 0")
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        self.pieces = [samples]
        start = max(0.0, self.start - origin)
        return Waveform(resample(self.pieces[0], self.rate, rate), rate, start)


def resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Mono float32 `[S]` at `rate` to `[ceil(S · wanted / rate)]` at `wanted`, band-limited.

    Example:
        >>> second = np.sin(2 * np.pi * 100 * np.arange(8000) / 8000).astype(np.float32)
        >>> expected = np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
        >>> bool(np.abs(resample(second, 8000, 16000) - expected)[100:-100].max() < 1e-3)
        True
    """
    if rate == wanted or not len(samples):
        return samples
    length = -(-len(samples) * wanted // rate)
    pieces = [np.zeros(0, np.float32), *_resampled(samples, rate, wanted)]
    joined = np.concatenate(pieces)[:length]
    # The filter may hold back the last sample or two (all of a sound shorter than itself).
    held = np.full(length - len(joined), samples[-1], np.float32)
    return np.concatenate([joined, held])


def _resampled(
    samples: NDArray[np.float32], rate: int, wanted: int
) -> Iterator[NDArray[np.float32]]:
    resampler = AudioResampler(format="flt", layout="mono", rate=wanted)
    for at in range(0, len(samples), _CHUNK):
        piece = np.ascontiguousarray(samples[None, at : at + _CHUNK])
        frame = AudioFrame.from_ndarray(piece, format="flt", layout="mono")
        frame.sample_rate = rate
        for out in resampler.resample(frame):
            yield out.to_ndarray()[0]
    for out in resampler.resample(None):
        yield out.to_ndarray()[0]
