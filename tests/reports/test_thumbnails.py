"""Small pictures of clips: frames side by side, tones at their height and time."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ezav.media import Frames, Waveform
from ezav.reports.thumbnails import frame_strip, sound_strip, spectrogram


def test_frames_stand_side_by_side() -> None:
    images = np.zeros((3, 48, 64, 3), np.uint8)
    images[1] = 255
    strip = Image.open(io.BytesIO(frame_strip(Frames(images, np.arange(3.0))).data))
    assert strip.size == (3 * 128 + 2 * 2, 96)
    pixels = np.asarray(strip.convert("L"), float)
    assert [pixels[:, 130 * i + 10 : 130 * i + 118].mean() > 128 for i in range(3)] == [
        False,
        True,
        False,
    ]


def test_a_tone_is_one_line_at_its_height() -> None:
    seconds = np.arange(16_000) / 16_000
    for hertz in (500, 4000):
        tone = Waveform(np.sin(2 * np.pi * hertz * seconds).astype(np.float32), 16_000)
        pixels = np.asarray(
            Image.open(io.BytesIO(sound_strip(tone, 1.0).data)).convert("RGB").convert("L"), float
        )
        brightest = pixels.mean(axis=1).argmax() / len(pixels)
        mel = np.log1p(hertz / 700) / np.log1p(8000 / 700)
        assert abs((1 - brightest) - mel) < 0.05


def test_the_spectrogram_shows_tones_at_their_height_and_time() -> None:
    times = np.arange(16_000) / 16_000
    low, high = (np.sin(2 * np.pi * f * times).astype(np.float32) for f in (200, 4000))
    picture = spectrogram(Waveform(np.concatenate([low, high]), 16_000), 4.0)
    first, second, silent = picture[:, 20:140], picture[:, 180:300], picture[:, 340:]
    assert silent.max() == 0
    assert first.mean(axis=1).argmax() > 80 > 40 > second.mean(axis=1).argmax()
