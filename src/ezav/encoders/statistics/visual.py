"""What half a second of video looks like, and how it moves, in a few hundred numbers.

Frames are reduced to a small canvas. Appearance (colour, gradients, the object's outline) is
described for each window of half a second; movement (path, flow, rhythm) needs longer and is
described over segments of up to four seconds, whose windows share it. Every block is bounded and
of comparable size, so that a network needs no tuning.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ezav.encoders.statistics import motion, shape
from ezav.encoders.statistics.colour import COLOURS, colour_codes, colour_histogram
from ezav.encoders.statistics.foreground import moving, off_border
from ezav.encoders.statistics.place import by_colour, locate
from ezav.encoders.statistics.scaling import root_histogram, scaled_blocks, squash

VERSION = "3"
CANVAS = 72
"""Pixels of the canvas' short side."""
_WIDEST = 2.0  # longer frames are squeezed to this aspect
_WINDOW, _SEGMENT = 0.5, 4.0  # seconds
_LAYOUT = 3  # cells a side for mean colours
_HARMONICS = len(shape.HARMONICS)

BLOCKS = {
    "colour": COLOURS,
    "colour_object": COLOURS,
    "colour_moving": COLOURS,
    "layout": 3 * _LAYOUT**2,
    "gradients": shape.GRID**2 * shape.GRID_ORIENTATIONS,
    "object_gradients": shape.CELLS**2 * shape.ORIENTATIONS,
    "outline": 3 * _HARMONICS + shape.RINGS + 2,
    "path": motion.PATH + motion.DIRECTIONS + 1,
    "spin": motion.SPIN,
    "flow_object": motion.FLOW,
    "flow_frame": motion.FLOW,
    "rhythm": motion.RHYTHM,
}
DIMENSION = sum(BLOCKS.values())


def describe(images: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of one clip.

    Args:
        images: uint8 `[F, H, W, 3]`, about 12 a second (fewer say less about movement).
        times: seconds `[F]`.

    Returns:
        values float32 `[T, DIMENSION]` and times float32 `[T]`, one token about every half second.

    Example:
        >>> images = np.zeros((12, 64, 64, 3), np.uint8)
        >>> values, times = describe(images, np.arange(12) / 12)
        >>> values.shape == (2, DIMENSION)
        True
        >>> print(times.round(2))
        [0.21 0.71]
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    step = max(step, 1e-3)
    segments = max(1, round(len(images) * step / _SEGMENT))
    values: list[np.ndarray] = []
    middles: list[float] = []
    for part in np.array_split(np.arange(len(images)), segments):
        found, token = _segment(to_canvas(images[part]), step)
        values.append(found)
        middles.extend(times[part][token == i].mean() for i in range(len(found)))
    return np.concatenate(values), np.asarray(middles, dtype=np.float32)


def to_canvas(images: np.ndarray) -> np.ndarray:
    """Area-average uint8 `[F, H, W, 3]` to float32 `[F, h, w, 3]` in [0, 1], short side CANVAS.

    Example:
        >>> grey = np.full((1, 90, 160, 3), 51, np.uint8)
        >>> small = to_canvas(grey)
        >>> small.shape, bool(np.allclose(small, 51 / 255))
        ((1, 72, 128, 3), True)
    """
    _, height, width, _ = images.shape
    if min(height, width) == CANVAS and max(height, width) <= CANVAS * _WIDEST:
        return images * np.float32(1 / 255)
    aspect = min(max(height, width) / min(height, width), _WIDEST)
    long = round(CANVAS * aspect)
    h, w = (CANVAS, long) if height <= width else (long, CANVAS)
    rows = _area_weights(height, h)
    columns = _area_weights(width, w)
    count = len(images)
    shrunk = rows @ images.reshape(count, height, width * 3).astype(np.float32)
    shrunk = shrunk.reshape(count * h, width, 3)
    small: np.ndarray = np.matmul(columns, shrunk).reshape(count, h, w, 3) / np.float32(255.0)
    return small


@cache
def _area_weights(source: int, target: int) -> np.ndarray:
    """`[target, source]`: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    left, right = np.arange(source), np.arange(1, source + 1)
    overlap = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    weights: np.ndarray = (np.maximum(overlap, 0.0) * (target / source)).astype(np.float32)
    return weights


def _segment(images: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Tokens `[T, DIMENSION]` of canvas frames `[F, h, w, 3]`; the token of each frame `[F]`."""
    count = len(images)
    tokens = int(np.clip(round(count * step / _WINDOW), 1, count))
    token = np.arange(count) * tokens // count
    grey = (images[..., 0] + images[..., 1] + images[..., 2]) / np.float32(3.0)
    off, move = off_border(images), moving(images)
    thing, mover = locate(np.maximum(off, move)), locate(move)
    for _ in range(2):
        thing = by_colour(images, thing)
    form = shape.outline(thing)
    edges = shape.gradients(grey)
    codes = colour_codes(images)
    own = [token == i for i in range(tokens)]

    def histograms(weights: np.ndarray | None) -> np.ndarray:
        rows = [colour_histogram(codes[i], None if weights is None else weights[i]) for i in own]
        return root_histogram(np.stack(rows))

    thing_path, thing_ways = motion.path(thing, step)
    pace = np.abs(np.diff(grey, axis=0, prepend=grey[:1])).mean(axis=(1, 2)) * 10
    # At half the size small steps of the object are below a pixel or two, as the flow assumes.
    coarse = _halve(grey)
    own_flow = motion.affine_flow(coarse, _halve(np.maximum(off, move)), step)
    frame_flow = motion.affine_flow(coarse, np.ones_like(coarse), step)
    signals = np.stack(
        [
            thing.x * 5,
            thing.y * 5,
            np.log(thing.size) * 3,
            grey.mean(axis=(1, 2)) * 10,
            pace,
        ]
    )
    movement = {
        "path": np.concatenate([thing_path, thing_ways]),
        "spin": motion.spin(form.harmonics),
        "flow_object": motion.flow_statistics(own_flow),
        "flow_frame": motion.flow_statistics(frame_flow),
        "rhythm": motion.rhythm(signals, step),
    }
    appearance = {
        "colour": histograms(None),
        "colour_object": histograms(thing.map),
        "colour_moving": histograms(mover.map),
        "layout": np.stack([_layout(images[i]) for i in own]),
        "gradients": root_histogram(shape.orientation_grid(edges, token, tokens)),
        "object_gradients": root_histogram(shape.object_orientations(edges, thing, token, tokens)),
        "outline": np.stack([_outline(form, thing.size, i) for i in own]),
    }
    shared = {name: np.tile(block, (tokens, 1)) for name, block in movement.items()}
    return scaled_blocks(appearance | shared, BLOCKS), token


def _halve(maps: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels of `[F, h, w]`; an odd last row or column is left out."""
    even = maps[:, : maps.shape[1] // 2 * 2, : maps.shape[2] // 2 * 2]
    rows = even[:, ::2] + even[:, 1::2]
    halved: np.ndarray = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return halved


def _layout(images: np.ndarray) -> np.ndarray:
    """Mean colours of a coarse grid, [-1, 1]: brightness and two opponent channels a cell."""
    picture = images.mean(axis=0)
    height, width, _ = picture.shape
    rows, columns = _area_weights(height, _LAYOUT), _area_weights(width, _LAYOUT)
    cells = np.matmul(columns, (rows @ picture.reshape(height, -1)).reshape(_LAYOUT, width, 3))
    red, green, blue = cells[..., 0], cells[..., 1], cells[..., 2]
    opponent = [(red + green + blue) / 1.5 - 1, (red - green) * 3, (red + green - 2 * blue) * 1.5]
    return squash(np.stack(opponent, axis=-1).ravel(), 1.0)


def _outline(form: shape.Outline, size: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The outline of the frames `own`: harmonics (as they stand and turned freely), rings, size."""
    harmonics = form.harmonics[own]
    steady = harmonics.mean(axis=0)
    turned = np.concatenate([np.abs(harmonics).mean(axis=0), steady.real, steady.imag])
    extent = np.array([size[own].mean() * 4, form.mass[own].mean() * 10])
    return np.concatenate(
        [squash(turned * 4, 1.0), form.rings[own].mean(axis=0) * 2, squash(extent, 1.0)]
    )
