"""How things move: the object's path, turn and growth, the whole picture's flow, the rhythm."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ezav.encoders.statistics.place import Place
from ezav.encoders.statistics.scaling import root_histogram, squash
from ezav.encoders.statistics.shape import HARMONICS

RHYTHM_HZ = (0.3, 0.7, 1.1, 1.6, 2.2, 3.0, 4.2, 6.1)
DIRECTIONS = 8
_TURNS = (2, 3, 4, 5)  # harmonics whose phase tells a turn
PATH = 19
FLOW = 18
SPIN = 2 * len(_TURNS)
RHYTHM = 5 * (len(RHYTHM_HZ) - 1)


def path(place: Place, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Statistics `[PATH]` of the object's centre and size over F frames `step` seconds apart.

    Returns the statistics and a histogram `[DIRECTIONS + 1]` of directions of movement (the last
    entry: standing still). Speeds are in short sides a second.
    """
    x, y, size = place.x, place.y, np.log(place.size)
    if len(x) < 3:
        return np.zeros(PATH), np.zeros(DIRECTIONS + 1)
    vx, vy, growth = np.diff(x) / step, np.diff(y) / step, np.diff(size) / step
    ax, ay = np.diff(vx), np.diff(vy)
    speed = np.hypot(vx, vy)
    mean_speed = speed.mean() + 1e-3
    # Turning: the angle between successive velocities, weighted by both speeds.
    dot = vx[1:] * vx[:-1] + vy[1:] * vy[:-1]
    cross = vx[:-1] * vy[1:] - vy[:-1] * vx[1:]
    norm = (speed[1:] * speed[:-1]).sum() + 1e-3
    around = (x[:-1] - x.mean()) * vy - (y[:-1] - y.mean()) * vx  # angular momentum
    spread_x, spread_y = x.std(), y.std()
    orbit = (spread_x * np.abs(vy).mean() + spread_y * np.abs(vx).mean()) + 1e-3
    statistics = [
        vx.mean() / 0.3,
        vy.mean() / 0.3,
        np.abs(vx).mean() / 0.3,
        np.abs(vy).mean() / 0.3,
        (np.abs(vx).mean() - np.abs(vy).mean()) / mean_speed,
        speed.std() / mean_speed,
        dot.sum() / norm,
        cross.sum() / norm,
        np.abs(cross).sum() / norm,
        around.mean() / orbit,
        np.abs(around).mean() / orbit,
        ax.mean() / mean_speed,
        ay.mean() / mean_speed,
        np.hypot(ax, ay).mean() / mean_speed,
        4 * spread_x,
        4 * spread_y,
        4 * size.std(),
        growth.mean(),
        np.abs(growth).mean() / 2,
    ]
    direction = np.arctan2(vy, vx) * (DIRECTIONS / (2 * np.pi)) % DIRECTIONS
    lower = np.floor(direction).astype(int) % DIRECTIONS
    share = direction - np.floor(direction)
    histogram = np.bincount(lower, speed * (1 - share), DIRECTIONS + 1)
    histogram += np.bincount((lower + 1) % DIRECTIONS, speed * share, DIRECTIONS + 1)
    histogram[-1] = np.maximum(0.08 - speed, 0.0).sum()
    return squash(np.array(statistics), 1.0), root_histogram(histogram)


def spin(harmonics: np.ndarray) -> np.ndarray:
    """Turn of the outline from frame to frame `[SPIN]`: mean of `h_k(t+1) h_k(t)*`, normalised.

    Args:
        harmonics: complex `[F, 8]` of :func:`ezav.encoders.statistics.shape.outline`.

    Example:
        >>> turning = np.exp(1j * np.outer(np.arange(4), np.ones(8)))  # by a radian a frame
        >>> spin(turning)[:1].round(2), spin(np.ones((4, 8)))[:1].round(2)
        (array([0.54]), array([1.]))
    """
    if len(harmonics) < 2:
        return np.zeros(SPIN)
    columns = [HARMONICS.index(k) for k in _TURNS]
    h = harmonics[:, columns]
    mean = (h[1:] * h[:-1].conj()).mean(axis=0) / ((np.abs(h) ** 2).mean(axis=0) + 1e-4)
    return np.concatenate([mean.real, mean.imag])


def affine_flow(grey: np.ndarray, weight: np.ndarray, step: float) -> np.ndarray:
    """Affine optical flow `[F-1, 6]` of `grey` `[F, h, w]`, least squares (Lucas and Kanade 1981).

    `weight` `[F, h, w]` chooses the region. Entries: rightward and downward velocity (short sides
    a second), divergence, curl and the two shears (1/second), about the region's own centre.

    Example:
        >>> x, y = np.meshgrid(np.arange(32), np.arange(32))
        >>> def blob(at):
        ...     return np.exp(-((x - at) ** 2 + (y - 16) ** 2) / 40).astype(np.float32)
        >>> frames = np.stack([blob(15), blob(16)])
        >>> flow = affine_flow(frames, np.ones(frames.shape, np.float32), 0.1)
        >>> print(flow[0, 0].round(1))  # a pixel of 32 to the right in 0.1 s
        0.3
    """
    count, height, width = grey.shape
    if count < 2:
        return np.zeros((0, 6), dtype=np.float32)
    short = min(height, width)
    mean = 0.5 * (grey[1:] + grey[:-1])
    dt = (grey[1:] - grey[:-1])[:, 1:-1, 1:-1] / step
    dx = (mean[:, 1:-1, 2:] - mean[:, 1:-1, :-2]) * (short / 2)
    dy = (mean[:, 2:, 1:-1] - mean[:, :-2, 1:-1]) * (short / 2)
    region = (0.5 * (weight[1:] + weight[:-1]))[:, 1:-1, 1:-1]
    total = region.sum(axis=(1, 2)) + 1e-6
    x = ((np.arange(1, width - 1, dtype=np.float32) + 0.5) - width / 2) / short
    y = ((np.arange(1, height - 1, dtype=np.float32) + 0.5) - height / 2) / short
    centre_x = (region.sum(axis=1) @ x) / total
    centre_y = (region.sum(axis=2) @ y) / total
    px = (x - centre_x[:, None])[:, None, :]
    py = (y - centre_y[:, None])[:, :, None]
    # v = (a + (d - s1)/2·…): the basis below gives divergence, curl and shears directly.
    xdx, ydy, xdy, ydx = px * dx, py * dy, px * dy, py * dx
    basis = np.stack([dx, dy, (xdx + ydy) / 2, (xdy - ydx) / 2, (xdx - ydy) / 2, (xdy + ydx) / 2])
    basis = basis.reshape(6, count - 1, -1).transpose(1, 0, 2)
    weighted = basis * region.reshape(count - 1, 1, -1)
    normal = weighted @ basis.transpose(0, 2, 1)
    right = weighted @ dt.reshape(count - 1, -1, 1)
    # A ridge at the noise's level: no edge across a direction, no flow along it.
    scale = np.trace(normal[:, :2, :2], axis1=1, axis2=2)[:, None, None]
    ridge = np.diag(np.array([1, 1, 0.05, 0.05, 0.05, 0.05], dtype=np.float32))
    solved = np.linalg.solve(normal + (0.02 * scale + 1e-3) * ridge, right)
    return -solved[..., 0]


def flow_statistics(flow: np.ndarray) -> np.ndarray:
    """Mean, mean size and deviation of affine flow over time, `[FLOW]`."""
    if not len(flow):
        return np.zeros(FLOW)
    scaled = flow / np.array([0.3, 0.3, 1.0, 1.0, 1.0, 1.0])
    bounded = np.tanh(scaled / 3) * 3  # one wrong frame pair must not rule the mean
    return squash(
        np.concatenate([bounded.mean(axis=0), np.abs(bounded).mean(axis=0), bounded.std(axis=0)]),
        1.0,
    )


def rhythm(signals: np.ndarray, step: float) -> np.ndarray:
    """Amplitudes in bands of temporal frequency of signals `[5, F]`, each detrended: `[RHYTHM]`.

    Signals come scaled so that a typical movement has amplitude 1.

    Example:
        >>> time = np.arange(48) / 12
        >>> signals = np.zeros((5, 48))
        >>> signals[0] = np.sin(2 * np.pi * 2 * time)  # twice a second
        >>> found = rhythm(signals, 1 / 12).reshape(5, -1)
        >>> RHYTHM_HZ[found[0].argmax()], bool((found[1:] == 0).all())
        (1.6, True)
    """
    count = signals.shape[1]
    if count < 4:
        return np.zeros(RHYTHM)
    time = np.linspace(-1, 1, count)
    trend = np.stack([np.ones(count), time])
    rest = signals - (signals @ np.linalg.pinv(trend)) @ trend
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(count) + 0.5) / count)
    size = max(128, count)
    spectrum = np.abs(np.fft.rfft(rest * window, n=size, axis=1)) * (2 / window.sum())
    frequency = np.fft.rfftfreq(size, step)
    bands = []
    for low, high in pairwise(RHYTHM_HZ):
        inside = (frequency >= low) & (frequency < high)
        found = spectrum[:, inside].max(axis=1) if inside.any() else np.zeros(len(signals))
        bands.append(found)
    return squash(np.stack(bands, axis=1).ravel(), 1.0)
