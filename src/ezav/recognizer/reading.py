"""Files to the tokens of a run, in worker processes: a bad file costs itself and no more."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ezav.closing import Closing
from ezav.encoders.base import AudioEncoder, VisualEncoder
from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.registry import card
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction.batch import in_worker
from ezav.extraction.encoded import EncodedClip
from ezav.extraction.look import Look
from ezav.extraction.pool import WorkerPool, cpus
from ezav.extraction.reading import Limits, Reading
from ezav.features.header import Header
from ezav.recognizer.encoders import DATASET, MEDIA, RunEncoders, info_of
from ezav.recognizer.find import find, read_header


class ClipReader(Closing):
    """Reads files for a run within limits; may be used by several threads.

    Workers are started when they are needed, or by :meth:`start` while other things are done. They
    stay until :meth:`close`, or until nobody has the reader any more.

    Args:
        encoders: of the run.
        limits: time and memory that one file may cost.

    Example:
        >>> from ezav.encoders.registry import card
        >>> from ezav.features.header import EncoderInfo, Header
        >>> made = [
        ...     EncoderInfo(
        ...         modality=kind,
        ...         name="statistics",
        ...         dimension=84,
        ...         revision=card(kind, "statistics").revision,
        ...         identity=card(kind, "statistics").identity,
        ...     )
        ...     for kind in ("audio", "visual")
        ... ]
        >>> run = RunEncoders(Header(dataset="mine", encoders=tuple(made)), None)
        >>> with ClipReader(run) as reader:
        ...     [clip.reason for clip in reader.encode(["no/such.mp4"])]
        ['no such file']
    """

    def __init__(self, encoders: RunEncoders, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._encoders = encoders
        # A clip that is cut short is answered from what there is, with a warning.
        self._reading = Reading(limits.seconds, limits.memory, use_damaged=True)
        self._idle: list[WorkerPool] = []
        self._lock = threading.Lock()
        # Its workers end with it: no process of its own is left behind.
        self._end = weakref.finalize(self, _close, self._idle)

    def start(self, workers: int = 1, wait: bool = False) -> None:
        """Begin worker processes, each for one file at a time; they load the encoders meanwhile.

        Args:
            workers: how many.
            wait: until they are ready.

        Raises:
            EzavError: an encoder of the run is not available (without `wait` that may be told
                later).
        """
        begun = [self._begin(cpus() // workers) for _ in range(workers)]
        with self._lock:
            self._idle += begun
        if wait:
            for pool in begun:
                self._ready(pool)

    def encode(self, paths: Iterable[str | os.PathLike[str]]) -> list[EncodedClip]:
        """The tokens of files, in order; one that cannot be read says why in its `error`.

        Raises:
            EzavError: an encoder of the run is not available.
        """
        with self._borrowed() as pool:
            found = dict(pool.encode(paths))
        return [found[index] for index in sorted(found)]

    def each(
        self,
        paths: Sequence[str | os.PathLike[str]],
        workers: int | None = None,
        look: Look | None = None,
    ) -> Iterator[tuple[int, EncodedClip]]:
        """The tokens of many files, each with its place, in the order in which they are ready.

        Args:
            paths: the files.
            workers: processes that read at once, no more than files; by default one for each CPU.
            look: what is also decoded of each for display, in `shown`.

        Raises:
            EzavError: an encoder of the run is not available.
        """
        with self._begin(1, max(1, min(workers or cpus(), len(paths)))) as pool:
            self._ready(pool)
            yield from pool.encode(paths, look)

    def look(self, path: str | os.PathLike[str], wanted: Look) -> EncodedClip:
        """The tokens of a file, with its pictures and sound for display in `shown`.

        Raises:
            EzavError: an encoder of the run is not available.
        """
        with self._borrowed() as pool:
            return pool.look(path, wanted)

    @property
    def cut_off(self) -> bool:
        """Whether idle workers have no network (:mod:`ezav.extraction.confine`)."""
        with self._lock:
            return all(pool.cut_off for pool in self._idle)

    def windows(
        self,
        path: str | os.PathLike[str],
        length: float,
        hop: float,
        look: Look | None = None,
        live: bool = False,
    ) -> Iterator[EncodedClip]:
        """The windows of a recording in order; see :meth:`ezav.extraction.WorkerPool.windows`.

        Raises:
            EzavError: an encoder of the run is not available.
        """
        with self._borrowed() as pool:
            yield from pool.windows(path, length, hop, look, live)

    def close(self) -> None:
        """End the workers; they are started again when they are needed."""
        with self._lock:
            _close(self._idle)

    @contextmanager
    def _borrowed(self) -> Iterator[WorkerPool]:
        """A pool of one worker that nobody else uses meanwhile."""
        with self._lock:
            pool = self._idle.pop() if self._idle else None
        pool = pool or self._begin(cpus())
        try:
            self._ready(pool)
        except BaseException:
            pool.close()
            raise
        try:
            yield pool
        finally:
            with self._lock:
                self._idle.append(pool)

    def _begin(self, threads: int, workers: int = 1) -> WorkerPool:
        looks: EncoderSpec | VisualEncoder | None = None
        sounds: EncoderSpec | AudioEncoder | None = None
        if "visual" in self._encoders.kinds:
            looks = self._encoders.spec("visual")
            if not in_worker(looks):
                looks = self._encoders.visual
        if "audio" in self._encoders.kinds:
            sounds = self._encoders.spec("audio")
            if not in_worker(sounds):
                sounds = self._encoders.audio
        few = None if "OMP_NUM_THREADS" in os.environ else max(1, threads)
        reading = self._reading
        return WorkerPool(looks, sounds, workers=workers, reading=reading, threads=few, wait=False)

    def _ready(self, pool: WorkerPool) -> None:
        try:
            cards = pool.wait()
        except EzavError as error:
            for kind in self._encoders.kinds:
                if pool.failed == kind:
                    raise self._encoders.needs(kind, error) from error
            raise
        for kind in self._encoders.kinds:
            name, revision, identity = cards[kind]
            if name != "forward":  # of one in this process it is known already
                self._encoders.check_same(kind, revision, identity)


def _close(pools: list[WorkerPool]) -> None:
    while pools:
        pools.pop().close()


def begin_reading(
    run: str | os.PathLike[str], import_code: bool = False, limits: Limits | None = None
) -> ClipReader:
    """A reader whose worker starts now, while the rest of the run is still to be loaded.

    Raises:
        EzavError: no run there, or it does not say which encoders it needs.
    """
    header = read_header(find(os.fspath(run)))
    # A frozen recogniser names only the encoders that it uses.
    kinds = tuple(kind for kind in MEDIA if any(one.modality == kind for one in header.encoders))
    return _begun(RunEncoders(header, None, import_code, kinds=kinds or MEDIA), limits)


def begin_frozen_reading(limits: Limits | None = None) -> ClipReader:
    """A reader of the default encoders whose worker starts now, while texts are still loaded."""
    name = DEFAULTS["visual"]
    looks = info_of("visual", EncoderSpec(name), card("visual", name))
    header = Header(dataset=DATASET, encoders=(looks,))
    return _begun(RunEncoders(header, None, kinds=("visual",)), limits)


def _begun(encoders: RunEncoders, limits: Limits | None) -> ClipReader:
    reader = ClipReader(encoders, limits)
    reader.start()
    return reader
