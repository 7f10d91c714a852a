"""The visual statistics: parts against naive computation, and what they tell apart."""

from __future__ import annotations

import colorsys
import multiprocessing
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.encoders.statistics import motion, shape, visual
from ezav.encoders.statistics.colour import COLOURS, SHADES, colour_codes, colour_histogram
from ezav.encoders.statistics.encoders import StatisticsVisual
from ezav.encoders.statistics.foreground import moving, off_border
from ezav.encoders.statistics.place import by_colour, locate
from ezav.media.clip import Frames

FPS = 12.0
Path_ = Callable[[float], tuple[float, float, float]]


def disc(path: Path_, colour: tuple[int, int, int], seconds: float = 2.0, side: int = 72) -> Frames:
    """A disc on a soft background; `path` gives x, y, radius in short sides at a time."""
    times = (np.arange(round(seconds * FPS)) + 0.5) / FPS
    v, u = np.mgrid[0:side, 0:side] / side
    images = np.empty((len(times), side, side, 3))
    for image, time in zip(images, times):
        x, y, radius = path(time)
        image[...] = (90 + 40 * u + 20 * v)[..., None]
        image[(u - x) ** 2 + (v - y) ** 2 < radius**2] = colour
    noise = np.random.default_rng(0).normal(0, 4, images.shape)
    return Frames(np.clip(images + noise, 0, 255).astype(np.uint8), times)


def block(clip: Frames, name: str) -> np.ndarray:
    """The mean over tokens of one block of the statistics."""
    values, _ = visual.describe(clip.images, clip.times)
    start = 0
    for key, size in visual.BLOCKS.items():
        if key == name:
            return values[:, start : start + size].mean(axis=0)
        start += size
    raise KeyError(name)


def test_the_canvas_is_an_area_average() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 144, 216, 3), dtype=np.uint8)
    found = visual.to_canvas(images)
    expected = images.reshape(1, 72, 2, 108, 2, 3).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(found, expected, atol=1e-5)
    same = images[:, :72, :100]
    np.testing.assert_allclose(visual.to_canvas(same), same / 255, atol=1e-6)
    # Weights that do not divide: the mean stays.
    odd = visual.to_canvas(images[:, :101, :131])
    assert odd.shape == (1, 72, 93, 3)
    np.testing.assert_allclose(odd.mean(), images[:, :101, :131].mean() / 255, rtol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.tuples(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.75, 1)))
def test_a_hue_falls_into_its_bins(colour: tuple[float, float, float]) -> None:
    hue, saturation, value = colour
    rgb = np.array([colorsys.hsv_to_rgb(hue, saturation, value)], dtype=np.float32)
    histogram = colour_histogram(colour_codes(rgb))
    assert histogram.sum() == pytest.approx(1, abs=1e-5)
    hues = histogram[: COLOURS - 4].reshape(-1, SHADES).sum(axis=1)
    # The circular mean of the bins is the hue, up to the 32 steps a channel is read in.
    angle = np.angle((hues * np.exp(2j * np.pi * np.arange(12) / 12)).sum()) / (2 * np.pi)
    assert abs((angle - hue + 0.5) % 1 - 0.5) < 0.04


def test_greys_are_no_hue() -> None:
    for level in (0.02, 0.35, 0.98):
        histogram = colour_histogram(colour_codes(np.full((5, 3), level, np.float32)))
        assert histogram[-4:].sum() == pytest.approx(5, abs=1e-4)
        assert histogram[-4:].argmax() == round(level * 3)


def test_weights_choose_the_pixels_of_a_histogram() -> None:
    pixels = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1]], dtype=np.float32)
    codes = colour_codes(pixels)
    weights = np.array([2.0, 0.5, 0.25])
    naive = sum(w * colour_histogram(codes[i : i + 1]) for i, w in enumerate(weights))
    np.testing.assert_allclose(colour_histogram(codes, weights), naive, atol=1e-6)


def test_the_object_is_found_where_it_is() -> None:
    clip = disc(lambda t: (0.25 + 0.25 * t, 0.6, 0.1), (220, 30, 30))
    images = visual.to_canvas(clip.images)
    maps = np.maximum(off_border(images), moving(images))
    place = by_colour(images, locate(maps))
    np.testing.assert_allclose(place.x, 0.25 + 0.25 * clip.times - 0.5, atol=0.02)
    np.testing.assert_allclose(place.y, 0.1, atol=0.02)
    # The root mean square radius of a disc is its radius over the square root of 2.
    np.testing.assert_allclose(place.size, 0.1 / np.sqrt(2), rtol=0.15)


def test_harmonics_turn_with_the_object_and_tell_its_corners() -> None:
    v, u = np.mgrid[-1:1:72j, -1:1:72j]
    angle, radius = np.arctan2(v, u), np.hypot(u, v)

    def polygon(corners: int) -> np.ndarray:
        sector = 2 * np.pi / corners
        edge = 0.35 * np.cos(sector / 2) / np.cos((angle % sector) - sector / 2)
        return (radius < edge).astype(np.float32)

    for corners in (3, 4, 5):
        drawn = polygon(corners)
        both = shape.outline(locate(np.stack([drawn, np.rot90(drawn, -1)])))
        size = np.abs(both.harmonics[0])
        strongest = shape.HARMONICS[int(size[1:].argmax()) + 1]  # h_1 is the centre's error
        assert strongest == corners
        # Rotating by 90 degrees multiplies h_k by i^k and leaves its size.
        expected = both.harmonics[0] * 1j ** np.array(shape.HARMONICS)
        np.testing.assert_allclose(both.harmonics[1], expected, atol=0.02)


def test_gradients_point_across_an_edge() -> None:
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (40, 1))[None]
    for picture, expected in ((ramp, 0), (ramp.transpose(0, 2, 1), shape.GRID_ORIENTATIONS // 2)):
        counts = shape.orientation_grid(shape.gradients(picture), np.zeros(1, int), 1)
        assert counts.reshape(-1, shape.GRID_ORIENTATIONS).sum(axis=0).argmax() == expected


@pytest.mark.parametrize(
    ("motion_of", "entry", "expected"),
    [
        (lambda u, v, t: (u - 0.1 * t, v), 0, 0.1),
        (lambda u, v, t: (u, v + 0.1 * t), 1, -0.1),
        (lambda u, v, t: (u * np.exp(-0.3 * t), v * np.exp(-0.3 * t)), 2, 0.6),
        (
            lambda u, v, t: (
                u * np.cos(0.4 * t) + v * np.sin(0.4 * t),
                v * np.cos(0.4 * t) - u * np.sin(0.4 * t),
            ),
            3,
            0.8,
        ),
    ],
    ids=["right", "up", "divergence", "curl"],
)
def test_affine_flow_recovers_a_known_motion(
    motion_of: Callable[..., tuple[np.ndarray, np.ndarray]], entry: int, expected: float
) -> None:
    v, u = np.mgrid[-0.5:0.5:72j, -0.5:0.5:72j]

    def picture(t: float) -> np.ndarray:
        x, y = motion_of(u, v, t)
        return 0.5 + 0.2 * np.sin(9 * x + 1) * np.cos(7 * y) + 0.2 * np.cos(5 * x + 6 * y)

    grey = np.stack([picture(i / FPS) for i in range(5)]).astype(np.float32)
    flow = motion.affine_flow(grey, np.ones_like(grey), 1 / FPS)
    # The pixels' grid is one step wider than the drawing's.
    assert flow[:, entry].mean() == pytest.approx(expected, rel=0.12)
    others = [i for i in range(4) if i != entry]
    assert np.abs(flow[:, others]).max() < 0.25 * abs(expected) + 0.02


def test_path_and_rhythm_tell_motions_apart() -> None:
    slide = disc(lambda t: (0.5 + 0.3 * np.sin(np.pi * t), 0.5, 0.1), (30, 60, 220))
    bounce = disc(lambda t: (0.5, 0.5 + 0.3 * np.sin(2 * np.pi * t), 0.1), (30, 60, 220))
    pulse = disc(lambda t: (0.5, 0.5, 0.1 + 0.04 * np.sin(4 * np.pi * t)), (30, 60, 220))
    found = {k: block(c, "path") for k, c in (("s", slide), ("b", bounce), ("p", pulse))}
    across, down, size = 14, 15, 16  # spread in x, in y, of the size
    assert found["s"][across] > 5 * found["s"][down]
    assert found["b"][down] > 5 * found["b"][across]
    assert found["p"][size] > 3 * max(found["s"][size], found["b"][size])
    bands = len(motion.RHYTHM_HZ) - 1

    def strongest(clip: Frames, signal: int) -> tuple[float, float]:
        rows = block(clip, "rhythm").reshape(5, bands)
        best = int(rows[signal].argmax())
        return motion.RHYTHM_HZ[best], motion.RHYTHM_HZ[best + 1]

    for clip, signal, hertz in ((slide, 0, 0.5), (bounce, 1, 1.0), (pulse, 2, 2.0)):
        low, high = strongest(clip, signal)
        assert low <= hertz < high


def test_the_objects_colour_is_seen_not_the_backgrounds() -> None:
    red = disc(lambda t: (0.3 + 0.2 * t, 0.5, 0.08), (225, 25, 25))
    histogram = block(red, "colour_object")
    assert histogram.argmax() in {0, 1}  # hue 0, either shade
    assert block(red, "colour").argmax() >= COLOURS - 4  # the frame is grey


@settings(deadline=None, max_examples=15)
@given(
    st.integers(1, 40),
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["noise", "black", "white", "steps"]),
)
def test_any_picture_gives_finite_bounded_tokens(
    frames: int, height: int, width: int, kind: str
) -> None:
    draw = np.random.default_rng(frames)
    images = {
        "noise": draw.integers(0, 256, (frames, height, width, 3)),
        "black": np.zeros((frames, height, width, 3)),
        "white": np.full((frames, height, width, 3), 255),
        "steps": np.tile(np.arange(frames)[:, None, None, None] * 6, (1, height, width, 3)),
    }[kind].astype(np.uint8)
    ((values, times),) = StatisticsVisual().encode(
        [Frames(images, (np.arange(frames) + 0.5) / FPS)]
    )
    assert values.shape == (len(times), visual.DIMENSION)
    # One token a half second, to the nearest; exactly between two counts either is right.
    assert abs(len(times) - frames / FPS / 0.5) <= 0.5 + 1e-6 or len(times) == 1 or frames < 3
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 7
    assert (np.diff(times) > 0).all()


def test_long_clips_are_cut_into_segments() -> None:
    clip = disc(lambda t: (0.5 + 0.3 * np.sin(t), 0.5, 0.1), (30, 160, 60), seconds=9.0)
    ((values, times),) = StatisticsVisual().encode([clip])
    assert len(values) == 18
    np.testing.assert_allclose(times, (np.arange(18) + 0.5) * 0.5, atol=0.06)


def _encode(clips: list[Frames]) -> list[np.ndarray]:
    return [encoded.values for encoded in StatisticsVisual().encode(clips)]


def test_alone_in_a_list_twice_and_after_a_fork() -> None:
    clips = [
        disc(lambda t: (0.2 + 0.2 * t, 0.5, 0.1), (200, 30, 30)),
        disc(lambda t: (0.5, 0.3 + 0.2 * t, 0.12), (30, 30, 200), seconds=1.3, side=50),
    ]
    together = _encode(clips)
    for clip, expected in zip(clips, together):
        np.testing.assert_array_equal(_encode([clip])[0], expected)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (forked,) = pool.map(_encode, [clips])
    for found, expected in zip(forked, together):
        np.testing.assert_array_equal(found, expected)
