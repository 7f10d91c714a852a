"""What simulated features are drawn from: class vectors, nuisance, and a fixed nonlinear map."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.importers.blocks import Modality, as_float
from ezav.features.importers.layouts import Features

_LATENT = 48
"""Dimensions in which classes differ; text vectors are projected to these."""
_HIDDEN = 160
_CLASS_NUISANCE = 1.0
"""How much of a class's look its name does not tell, in units of the spread between classes."""
_CLIP_NUISANCE = 2.2
"""How much clips of a class differ."""
_TOKEN_NUISANCE = 0.7
"""How much the tokens of a clip differ."""
_SHARED_CLIP_NUISANCE = 8.0
_MAX_SECONDS = 10.0


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """Random numbers for one purpose, whatever else is drawn before or after.

    Example:
        >>> generator(0, "a").random() == generator(0, "a").random()
        True
    """
    text = "\0".join((str(seed), *purpose)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest()))


class FeatureModel:
    """Draws the clips of a class.

    A class has a point in a latent space: its projected text vector, plus what its name does not
    tell. A clip is the class's point plus noise; both modalities see it through nonlinear maps of
    their own. Where the encoders share a space with the text (CLIP, CLAP), features lie around
    the class's text vector instead, across a constant gap.

    Args:
        features: encoders and dimensions of the setting.
        text: class embeddings, the joined one first; each modality follows its own if there are
            three (CLIP and CLAP joined, CLIP, CLAP).
        seed: of everything that is drawn.
    """

    def __init__(self, features: Features, text: Sequence[ClassEmbeddings], seed: int) -> None:
        self.features = features
        self.seed = seed
        self.dims = features.audio[1], features.visual[1]
        self._row = {name: row for row, name in enumerate(text[0].names)}
        alone = (text[2], text[1]) if len(text) == 3 else (text[0], text[0])
        self._shared = len(text) == 3 and tuple(one.dim for one in alone) == self.dims
        self._points = [
            one.vectors.numpy() if self._shared else self._project(text[0], f"points {which}")
            for which, one in enumerate(alone)
        ]
        self._maps = [self._map(which) for which in range(2)]

    def draw(self, split: str, name: str, clips: Sequence[str]) -> tuple[Modality, Modality]:
        """Audio and visual features of some clips of a class; the same for the same names."""
        draw = generator(self.seed, "clips", split, name)
        seconds = draw.uniform(0.4 * _MAX_SECONDS, _MAX_SECONDS, len(clips))
        audio, visual = (self._modality(which, name, clips, seconds, draw) for which in range(2))
        return audio, visual

    def _modality(
        self,
        which: int,
        name: str,
        clips: Sequence[str],
        seconds: np.ndarray,
        draw: np.random.Generator,
    ) -> Modality:
        hops = self.features.hops(which, len(clips), None)
        counts = np.ones(len(clips), dtype=np.int64)
        if hops is not None:
            counts = np.maximum(1, (seconds / hops[0]).astype(np.int64))
        if self._shared:
            values = self._around_text(which, name, len(clips), draw)
        else:
            latent = self._class_point(which, name) + _CLIP_NUISANCE * draw.standard_normal(
                (len(clips), _LATENT), dtype=np.float32
            )
            latent = latent.repeat(counts, axis=0)
            if hops is not None:
                latent += _TOKEN_NUISANCE * draw.standard_normal(latent.shape, dtype=np.float32)
            values = self._see(which, latent)
        times = np.zeros(len(values), dtype=np.float32)
        if hops is not None:
            times = np.concatenate([(np.arange(n) + 0.5) * hops[0] for n in counts])
            times = times.astype(np.float32)
        return Modality(clips, as_float(values), counts, times)

    def _class_point(self, which: int, name: str) -> np.ndarray:
        nuisance = generator(self.seed, "class", str(which), name).standard_normal(_LATENT)
        point: np.ndarray = self._points[which][self._row[name]] + _CLASS_NUISANCE * nuisance
        single: np.ndarray = point.astype(np.float32)
        return single

    def _see(self, which: int, latent: np.ndarray) -> np.ndarray:
        into, out, shift = self._maps[which]
        values: np.ndarray = np.maximum(np.tanh(latent @ into) @ out + shift, 0)
        if self.features.hop is None:
            return values
        # As published: VGGish tokens are bytes, and half precision is enough for C3D.
        loud = self.features.audio[0] == "VGGish" and which == 0
        stored: np.ndarray = (
            np.clip(values * 64, 0, 255).astype(np.uint8) if loud else values.astype(np.float16)
        )
        return stored

    def _around_text(
        self, which: int, name: str, clips: int, draw: np.random.Generator
    ) -> np.ndarray:
        dim = self.dims[which]
        purpose = generator(self.seed, "class", str(which), name)
        gap = generator(self.seed, "gap", str(which)).standard_normal(dim)
        # A class's own text differs from the mean class's by this much; noise is in its units.
        points = self._points[which]
        spread = float(np.linalg.norm(points - points.mean(0), axis=1).mean()) / np.sqrt(dim)
        center = points[self._row[name]] + gap / np.sqrt(dim)
        center = center + _CLASS_NUISANCE * spread * purpose.standard_normal(dim)
        noise = draw.standard_normal((clips, dim), dtype=np.float32)
        values: np.ndarray = (
            center.astype(np.float32) + np.float32(_SHARED_CLIP_NUISANCE * spread) * noise
        )
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        # As published: CLIP vectors in half precision.
        stored: np.ndarray = values.astype(np.float16) if which == 1 else values
        return stored

    def _project(self, text: ClassEmbeddings, purpose: str) -> np.ndarray:
        """Class points `[C, k]`: a random projection, of spread 1 in every dimension."""
        vectors = text.vectors.numpy().astype(np.float64)
        onto = generator(self.seed, purpose).standard_normal((text.dim, _LATENT))
        points = (vectors - vectors.mean(axis=0)) @ onto
        scaled: np.ndarray = points / np.maximum(points.std(axis=0), 1e-12)
        return scaled

    def _map(self, which: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draw = generator(self.seed, "map", str(which))
        dim = self.dims[which]
        into = draw.standard_normal((_LATENT, _HIDDEN)) * 0.6 / np.sqrt(_LATENT)
        out = draw.standard_normal((_HIDDEN, dim)) / np.sqrt(_HIDDEN)
        shift = 0.2 * draw.standard_normal(dim)
        return into.astype(np.float32), out.astype(np.float32), shift.astype(np.float32)
