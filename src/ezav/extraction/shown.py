"""Media as one process sends it to another, and is not believed: pictures, sound, numbers, text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ezav.extraction.wire import Arrays
from ezav.media import Clip, Frames, FrameSpec, Waveform
from ezav.naming import shown as harmless

_MOST_SIDE = 1 << 14


def shown_message(shown: Clip) -> tuple[dict[str, Any], Arrays]:
    """What a page shows of a clip, as another process may send it."""
    head: dict[str, Any] = {"duration": shown.duration}
    arrays: Arrays = {}
    if shown.frames is not None:
        arrays["shown images"], arrays["shown times"] = shown.frames.images, shown.frames.times
    if shown.waveform is not None:
        arrays["shown samples"] = shown.waveform.samples
        head |= {"rate": shown.waveform.sample_rate, "start": shown.waveform.start}
    return head, arrays


def shown_of(head: Mapping[str, Any], arrays: Arrays, path: Path) -> Clip:
    """What :func:`shown_message` gave; nothing is believed of it.

    Raises:
        ValueError, LookupError, TypeError: it makes no sense.

    Example:
        >>> sound = Waveform(np.zeros(5, np.float32), 16_000)
        >>> told = shown_message(Clip("", audio={16_000: sound}, duration=1.0))
        >>> shown_of(*told, Path("a.wav")).waveform.sample_rate
        16000
    """
    clip = Clip(str(path), duration=finite(head["duration"], least=0.0))
    if "shown images" in arrays:
        images, times = arrays["shown images"], arrays["shown times"]
        check_frames(images, times)
        clip.video[FrameSpec.uniform(len(images))] = Frames(images, times)
    if "shown samples" in arrays:
        samples, rate = arrays["shown samples"], head["rate"]
        check_sound(samples, rate)
        clip.audio[rate] = Waveform(samples, rate, finite(head["start"], least=0.0))
    return clip


def check_frames(images: np.ndarray, times: np.ndarray) -> None:
    """Raise ValueError where these are no pictures with their times."""
    sides = images.shape[1:3] if images.ndim == 4 and images.shape[3] == 3 else (0,)
    if images.dtype != np.uint8 or not len(images) or not all(0 < n <= _MOST_SIDE for n in sides):
        raise ValueError("pictures of another kind")
    if times.dtype != np.float64 or times.shape != (len(images),) or not np.isfinite(times).all():
        raise ValueError("times of another kind")


def check_sound(samples: np.ndarray, rate: object) -> None:
    """Raise ValueError where this is no sound."""
    if type(rate) is not int or not 0 < rate <= 768_000:
        raise ValueError("a sample rate of another kind")
    if samples.dtype != np.float32 or samples.ndim != 1 or not len(samples):
        raise ValueError("sound of another kind")
    if not np.isfinite(samples).all():
        raise ValueError("sound that is not finite")


def finite(told: object, least: float = -math.inf) -> float:
    """A number as it is; ValueError for anything else, and for one below `least`.

    Example:
        >>> finite(2), finite(0.5, least=0.0)
        (2.0, 0.5)
    """
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise ValueError("a number of another kind")
    if not math.isfinite(told) or told < least:
        raise ValueError(f"a number that cannot be: {told}")
    return float(told)


def text(told: object) -> str:
    """A text of others, with nothing in it that acts on a terminal; ValueError for anything else.

    Example:
        >>> text("moov\\x1b[2J")
        'moov\\\\x1b[2J'
    """
    if not isinstance(told, str):
        raise ValueError("a text of another kind")
    return harmless(told)
