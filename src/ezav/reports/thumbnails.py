"""A clip at a glance: a strip of its frames and one of its sound, as small pictures in memory."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ezav.encoders.mel import mel_filterbank, power_spectrogram
from ezav.media import Clip, Frames, Waveform

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_BANDS, _SIZE, _HEIGHT, _WIDTH = 64, 1024, 96, 640
_LOWEST = 50.0
_LEVELS = 64
_GAP = 2
RANGE = 70.0
"""Decibels from the loudest point of a sound strip down to black."""


@dataclass(frozen=True)
class Image:
    """A picture of pixels: its media type, its bytes, and what it shows.

    Example:
        >>> Image("image/png", b"abc", "a dot").uri
        'data:image/png;base64,YWJj'
    """

    mime: str
    data: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The picture as a data URI, for a page that fetches nothing."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


def thumbnails(clip: Clip) -> tuple[Image, ...]:
    """The strips of a clip: of its frames and of its sound, as far as it has them.

    Args:
        clip: read with one frame spec and one sample rate at most.

    Example:
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
        >>> clip = Clip("tone.wav", audio={16000: Waveform(tone, 16000)}, duration=1.0)
        >>> [image.alt for image in thumbnails(clip)]
        ['spectrogram of 1.0 s of sound']
    """
    found = []
    if clip.frames is not None:
        found.append(frame_strip(clip.frames))
    if clip.waveform is not None:
        found.append(sound_strip(clip.waveform, clip.duration))
    return tuple(found)


def frame_images(frames: Frames) -> list[Image]:
    """Each frame as a JPEG.

    Example:
        >>> grey = Frames(np.full((2, 9, 16, 3), 128, np.uint8), np.array([0.5, 1.5]))
        >>> [image.alt for image in frame_images(grey)]
        ['frame at 0.5 s', 'frame at 1.5 s']
    """
    from PIL import Image as Pillow

    return [
        _image(Pillow.fromarray(image), "JPEG", f"frame at {time:.1f} s", quality=80)
        for image, time in zip(frames.images, frames.times)
    ]


def frame_strip(frames: Frames, height: int = _HEIGHT) -> Image:
    """Frames side by side, each in its own shape, as one JPEG.

    Example:
        >>> grey = Frames(np.full((2, 9, 16, 3), 128, np.uint8), np.array([0.5, 1.5]))
        >>> frame_strip(grey).alt
        '2 frames'
    """
    from PIL import Image as Pillow

    pictures = [Pillow.fromarray(image) for image in frames.images]
    pictures = [p.resize((max(1, p.width * height // p.height), height)) for p in pictures]
    strip = Pillow.new("RGB", (sum(p.width + _GAP for p in pictures) - _GAP, height), "white")
    across = 0
    for picture in pictures:
        strip.paste(picture, (across, 0))
        across += picture.width + _GAP
    count = len(pictures)
    return _image(strip, "JPEG", f"{count} frame{'s' if count != 1 else ''}", quality=80)


def sound_strip(sound: Waveform, duration: float) -> Image:
    """A log-mel spectrogram of the whole clip as a PNG, low tones at the bottom.

    Args:
        sound: any sample rate.
        duration: seconds of the clip; the picture spans all of it, black where there is no sound.

    Example:
        >>> sound_strip(Waveform(np.zeros(8000, np.float32), 16000), 2.0).alt
        'spectrogram of 0.5 s of sound'
    """
    from matplotlib import colormaps
    from PIL import Image as Pillow

    # A colour is a number of a table, and there are few of them: a fifth of the bytes.
    levels = (spectrogram(sound, duration) * (_LEVELS - 1)).round().astype(np.uint8)
    picture = Pillow.fromarray(levels, "P")
    colours = colormaps["magma"](np.linspace(0, 1, _LEVELS))[:, :3]
    picture.putpalette((colours * 255).astype(np.uint8).tobytes())
    alt = f"spectrogram of {sound.duration:.1f} s of sound"
    return _image(picture, "PNG", alt, optimize=True)


def spectrogram(sound: Waveform, duration: float) -> NDArray[np.float64]:
    """Loudness `[96, 640]` in 0 … 1 of decibels, high tones first, over the whole clip.

    Example:
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
        >>> picture = spectrogram(Waveform(tone, 16000), 2.0)
        >>> bool(picture[:, :300].max() == 1.0), bool(picture[:, 340:].max() == 0.0)
        (True, True)
    """
    hop = max(1, round(max(duration, 0.05) * sound.sample_rate / _WIDTH))
    window = min(_SIZE, max(hop, 400))
    lead = round(sound.start * sound.sample_rate)
    samples = np.concatenate([np.zeros(lead, np.float32), sound.samples])
    power = power_spectrogram(samples, window, hop, _SIZE)[:_WIDTH]
    filters = mel_filterbank(sound.sample_rate, _SIZE, _BANDS, _LOWEST, sound.sample_rate / 2)
    decibels = 10 * np.log10(power @ filters + 1e-10)
    loud = np.clip(1 + (decibels - decibels.max()) / RANGE, 0, 1)
    if decibels.max() <= -99:
        loud = np.zeros_like(loud)
    whole = np.zeros((_WIDTH, _BANDS))
    whole[: len(loud)] = loud
    rows = np.linspace(_BANDS - 1, 0, _HEIGHT).round().astype(int)
    return np.asarray(whole.T[rows])


def _image(picture: Picture, kind: str, alt: str, **options: int | bool) -> Image:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image(f"image/{kind.lower()}", file.getvalue(), alt)
