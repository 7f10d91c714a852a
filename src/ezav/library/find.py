"""The moments of a library that fit a text, or a clip, best."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet
from ezav.features.header import MODALITIES
from ezav.library.index import Library
from ezav.library.vectors import Vectors, vectors_of
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.frozen_method import Channel, FrozenMethod


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A window of a recording that fits.

    Attributes:
        file: relative to the library's folder, with `/`.
        start, end: seconds from the beginning of the recording.
        score: how well it fits; only those of one query can be compared.
        pictures: JPEGs in base 64, where they were asked for.
    """

    file: str
    start: float
    end: float
    score: float
    pictures: tuple[str, ...] = field(default=(), repr=False)


def find_text(
    library: Library, candidates: Candidates, count: int = 10, pictures: bool = False
) -> list[Moment]:
    """The moments that a name, or a description, fits best; of those that overlap the best.

    The score is the recogniser's own (:meth:`ezav.recognizer.Recognizer.score`). Of a frozen one
    it is a mean of scaled cosines, and the nearest vectors have the best.

    Args:
        library: up to date (:meth:`Library.update`).
        candidates: one name, of the library's recogniser.
        count: how many at most.
        pictures: with small pictures of each.

    Raises:
        EzavError: not one name, or less than one moment is asked for.
        DamagedError: the index cannot be read.
        UnavailableError: usearch is not installed.
    """
    _check(count)
    if len(candidates) != 1:
        raise EzavError(f"{len(candidates)} names are given", "give one")
    recognizer = library.recognizer
    method = recognizer.model.method
    if not isinstance(method, FrozenMethod):
        return _best(library, _by_score(library, candidates), count, pictures)
    vectors = recognizer.answering.vectors(candidates)[candidates.columns]
    query = torch.cat([channel.names(vectors)[0] for channel in method.channels])
    words = vectors_of(library, f"words-{_digest(method.channels)}", _Spoken(method))
    return _best(library, _nearest(words, query, count), count, pictures)


def find_like(
    library: Library, clip: str | os.PathLike[str], count: int = 10, pictures: bool = False
) -> list[Moment]:
    """The moments that look and sound most like a clip: the mean cosine of their features.

    Args:
        library: up to date.
        clip: a file; it need not be of the library.
        count, pictures: as of :func:`find_text`.

    Raises:
        EzavError: the clip cannot be read, or less than one moment is asked for; as
            :func:`find_text`.
    """
    _check(count)
    (read,) = library.recognizer.encode([Path(clip)])
    if read.error:
        raise EzavError(f"cannot read '{clip}': {read.error}", "give another clip")
    features = library.recognizer.features([read])
    query = appearance(features)[0]
    sides = sum(int(getattr(features, name).lengths[0] > 0) for name in MODALITIES)
    alike = vectors_of(library, "appearance", appearance)
    return _best(library, _nearest(alike, query / max(1, sides), count), count, pictures)


def appearance(features: FeatureSet) -> Tensor:
    """The mean token of each modality as a unit vector, side by side: `[N, d]`.

    Example:
        >>> from ezav.features.feature_set import Ragged
        >>> one = Ragged.pooled(torch.tensor([[3.0, 4.0]]))
        >>> none = Ragged.from_clips([None], 1)
        >>> appearance(FeatureSet(none, one, torch.zeros(1).long(), ("a",), ("",)))
        tensor([[0.0000, 0.6000, 0.8000]])
    """
    return torch.cat([normalize(getattr(features, name).means, dim=1) for name in MODALITIES], 1)


class _Spoken:
    """Vectors whose inner products with a name are a frozen recogniser's scores of it."""

    def __init__(self, method: FrozenMethod) -> None:
        self._method = method

    def __call__(self, features: FeatureSet) -> Tensor:
        index = torch.arange(len(features))
        audio, visual = features.audio.gather(index), features.visual.gather(index)
        there = [
            (visual if channel.kind == "visual" else audio).present[:, None]
            for channel in self._method.channels
        ]
        count = torch.stack(there).sum(dim=0).clamp(min=1)
        said = zip(self._method.channels, self._method.appearance(audio, visual))
        return torch.cat([channel.scale / count * vectors for channel, vectors in said], dim=1)


def _digest(channels: Iterable[Channel]) -> str:
    """Of what the words of a window depend on, beside its features."""
    digest = hashlib.sha256()
    for one in channels:
        digest.update(f"{one.kind} {one.columns} {one.scale}".encode())
        if one.words is not None:
            digest.update(str(one.words.temperature).encode())
            digest.update(one.words.vectors.tobytes())
    return digest.hexdigest()[:16]


_Hit = tuple[int, int, float, float, float]
"""Recording, window, start, end, score."""


def _nearest(vectors: Vectors, query: Tensor, count: int) -> Iterator[_Hit]:
    """The best first, all of them if need be: neighbours of a moment are not told."""
    given, asked = 0, 8 * count
    while given < len(vectors):
        rows, scores = vectors.nearest(query, asked)
        for row, score in zip(rows[given:], scores[given:]):
            start, end = vectors.times[row].tolist()
            yield *vectors.window(row), start, end, score
        given, asked = len(rows), 8 * asked


def _by_score(library: Library, candidates: Candidates) -> Iterator[_Hit]:
    """The windows with the recogniser's score of the only candidate, the best first.

    Those without what it reads have none.
    """
    hits: list[_Hit] = []
    reads = library.recognizer.reads
    for recording in library.recordings:
        row = 0
        for some in library.windows(recording):
            scores = library.recognizer.score(some.features, candidates)[:, 0].tolist()
            there = torch.stack([getattr(some.features, side).lengths > 0 for side in reads])
            said = zip(some.times.tolist(), scores, there.any(dim=0).tolist())
            for at, ((start, end), score, heard) in enumerate(said, start=row):
                if heard:
                    hits.append((recording.number, at, start, end, score))
            row += len(some)
    yield from sorted(hits, key=lambda hit: -hit[4])


def _best(library: Library, hits: Iterable[_Hit], count: int, pictures: bool) -> list[Moment]:
    """The first hits, without those that overlap one before them."""
    recordings = {one.number: one for one in library.recordings}
    taken: dict[int, list[tuple[float, float]]] = {}
    found: list[Moment] = []
    for number, row, start, end, score in hits:
        others = taken.setdefault(number, [])
        if any(start < stop and begin < end for begin, stop in others):
            continue
        others.append((start, end))
        recording = recordings[number]
        images = library.pictures(recording, row) if pictures else ()
        found.append(
            Moment(file=recording.file, start=start, end=end, score=score, pictures=images)
        )
        if len(found) == count:
            break
    return found


def _check(count: int) -> None:
    if count < 1:
        raise EzavError(f"`count` must be at least 1, not {count}")


__all__ = ["Moment", "appearance", "find_like", "find_text"]
