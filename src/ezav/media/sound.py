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
"""Seconds of missing sound that are told. Silence is put in: what follows keeps its time."""
_STEP, _OF_PIECE = 0.01, 0.1
"""Seconds, and share of the piece before, by which a stamp may be off without being a gap or an
overlap: stamps are rounded, and clocks drift."""
_DRIFT = 0.01
"""Seconds between samples and stamps, at the end of a stretch, from which it is resampled."""
_SHORTEST = 1.0
"""Seconds of sound that tell how fast its stamps run."""
_STANDING = 1.2
"""Seconds of sound whose stamps do not go on, after which they are not believed."""
_CHUNK = 1 << 20
"""Samples resampled in one go."""


@dataclass(slots=True)
class _Stretch:
    """Sound of one rate without a gap."""

    rate: int
    start: float
    """Time of the first sample."""
    end: float
    """Time after the last sample, as the stamps have it."""
    count: int = 0
    pieces: list[NDArray[np.float32]] = field(default_factory=list)
    stamps: list[tuple[int, float]] = field(default_factory=list)
    """Of each piece the number of its first sample, and its time."""

    def append(self, samples: NDArray[np.float32], time: float) -> None:
        self.stamps.append((self.count, time))
        self.pieces.append(samples)
        self.count += len(samples)
        self.end = time + len(samples) / self.rate

    @property
    def room(self) -> float:
        """Seconds by which a stamp may be off."""
        return _STEP + _OF_PIECE * (len(self.pieces[-1]) / self.rate if self.pieces else 0.0)

    @property
    def true_rate(self) -> int:
        """Samples a second by the stamps: sound may come faster or slower than they say."""
        if self.count < _SHORTEST * self.rate or len(self.stamps) < 3:
            return self.rate
        at, times = np.array(self.stamps).T
        off = times - self.start - at / self.rate
        slope, begin = (float(term) for term in np.polyfit(at / self.rate, off, 1))
        drift = abs(slope) * self.count / self.rate
        noise = np.abs(off - begin - slope * at / self.rate).max()
        if drift < max(_DRIFT, noise):
            return self.rate
        return max(1, round(self.rate / (1 + max(-0.9, slope))))

    def at_rate(self, wanted: int, problems: Problems) -> NDArray[np.float32]:
        samples = self.pieces[0] if len(self.pieces) == 1 else np.concatenate(self.pieces)
        if not np.isfinite(samples).all():
            problems.note("sound damaged: samples that are not numbers, set to 0")
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        self.pieces = [samples]
        return resample(samples, self.true_rate, wanted)


@dataclass(slots=True)
class Timeline:
    """Collects sound between two instants of the file's clock; what is outside is cut off.

    The stamps say where a piece belongs. What overlaps the sound before is left out, a gap is
    silent, and sound that runs faster or slower than its stamps is resampled to them; a change of
    the sample rate begins a stretch of its own, which is resampled as a whole.

    Args:
        begin, end: seconds on the file's clock; may be infinite.
        problems: told when a gap is filled.
    """

    begin: float
    end: float
    problems: Problems
    stretches: list[_Stretch] = field(default_factory=list)
    _overlapping: list[Sound] = field(default_factory=list)
    _believed: bool = True

    @property
    def start(self) -> float:
        """Time of the first sample; 0 without any."""
        return self.stretches[0].start if self.stretches else 0.0

    @property
    def reached(self) -> float:
        """The time after the last sample."""
        return self.stretches[-1].end if self.stretches else 0.0

    @property
    def count(self) -> int:
        """Samples gathered, of whatever rates."""
        return sum(stretch.count for stretch in self.stretches)

    def add(self, sound: Sound) -> None:
        """Append a piece."""
        first, last = 0, len(sound.samples)
        if sound.time < self.begin:
            first = min(last, round((self.begin - sound.time) * sound.rate))
        if sound.time + last / sound.rate > self.end:
            last = max(first, round((self.end - sound.time) * sound.rate))
        if first == last:
            return
        samples, time = sound.samples[first:last], sound.time + first / sound.rate
        self._place(Sound(samples, sound.rate, time))

    def _place(self, sound: Sound) -> None:
        if not self.stretches:
            self._begin(sound, sound.time)
            return
        now = self.stretches[-1]
        missing = sound.time - now.end
        if not self._believed or abs(missing) <= now.room:
            if sound.rate != now.rate:
                self._begin(sound, now.end)
            else:
                now.append(sound.samples, now.end if not self._believed else sound.time)
        elif missing > 0:
            if missing > _GAP:
                last = now.start + now.count / now.rate
                gap, after = sound.time - last, last - self.start
                self.problems.note(f"sound has a gap of {gap:.2f} s after {after:.2f} s")
            self._begin(sound, sound.time)
        else:
            self._overlap(sound, -missing)
            return
        self._overlapping.clear()

    def _begin(self, sound: Sound, time: float) -> None:
        self.stretches.append(_Stretch(sound.rate, time, time))
        self.stretches[-1].append(sound.samples, time)

    def _overlap(self, sound: Sound, seconds: float) -> None:
        """A piece that begins before the end of the last one."""
        late = round(seconds * sound.rate)
        if late < len(sound.samples):
            rest = sound.samples[late:]
            self._begin(Sound(rest, sound.rate, self.reached), self.reached)
            self._overlapping.clear()
            return
        self._overlapping.append(sound)
        if sum(len(one.samples) / one.rate for one in self._overlapping) > _STANDING:
            self.problems.note("sound: time stamps stand still, not used")
            self._believed = False
            waiting, self._overlapping = self._overlapping, []
            for one in waiting:
                self._place(one)

    def waveform(self, rate: int, origin: float) -> Waveform | None:
        """All of it at `rate`, begun so many seconds after `origin`; None if there was nothing."""
        if not self.stretches:
            return None
        parts = [stretch.at_rate(rate, self.problems) for stretch in self.stretches]
        starts = [round((stretch.start - self.start) * rate) for stretch in self.stretches]
        whole = parts[0]
        if len(parts) > 1:
            length = max(start + len(part) for start, part in zip(starts, parts))
            whole = np.zeros(length, np.float32)
            for start, part in zip(starts, parts):
                whole[start : start + len(part)] = part
        return Waveform(whole, rate, max(0.0, self.start - origin))


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
