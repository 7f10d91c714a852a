"""The pool's work spread over a Ray cluster with Ray Data; everything else stays the same."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ezav.closing import Closing
from ezav.encoders.spec import EncoderSpec
from ezav.errors import UnavailableError
from ezav.extraction.encoded import EncodedClip, slotted
from ezav.extraction.pool import WorkerPool
from ezav.extraction.reading import Reading, reading_of
from ezav.extraction.wire import pack, unpack

_MOST_IN_BLOCK = 32
"""Clips that go to an actor together; so many are done again when it dies."""


class RayPool(Closing):
    """Stands in for :class:`ezav.extraction.WorkerPool`: the same clips, encoded on a cluster.

    Each Ray actor keeps worker processes of its own, so that a hostile file costs one clip here
    too; with `gpus` it encodes in itself, in batches, what they decode. Actors that die are
    replaced by Ray and their clips done again. Paths must lead to the same files on all machines.

    Args:
        visual, audio: the encoders by name, one or several of each.
        workers: CPUs of an actor, each with a process that decodes.
        gpus: GPUs of an actor.
        reading: as for the pool.
        address: of the cluster ("auto": the one this machine belongs to); None starts one here,
            unless Ray is running in this process already.

    Raises:
        EzavError: Ray is not installed, there is no such cluster, or it lacks CPUs or GPUs.
    """

    def __init__(
        self,
        visual: EncoderSpec | Sequence[EncoderSpec],
        audio: EncoderSpec | Sequence[EncoderSpec],
        *,
        workers: int = 1,
        gpus: float = 0,
        reading: Reading | None = None,
        address: str | None = None,
    ) -> None:
        self._ray, self._own = _started(address)
        self.workers, self.gpus = workers, gpus
        resources = self._ray.cluster_resources()
        self.actors = int(resources.get("CPU", 0) // workers)
        if gpus:
            self.actors = min(self.actors, int(resources.get("GPU", 0) // gpus))
        if self.actors < 1:
            raise UnavailableError(
                f"the Ray cluster has {resources.get('CPU', 0):.0f} CPUs and "
                f"{resources.get('GPU', 0):.0f} GPUs, an actor needs {workers} and {gpus:g}",
                "ask for less, or start a larger cluster",
            )
        self._arguments = {
            "visual": list(slotted(visual, None).values()),
            "audio": list(slotted(None, audio).values()),
            "workers": workers,
            "reading": reading_of(reading or Reading()),
            "path": [path or str(Path.cwd()) for path in sys.path],
        }

    def encode(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[int, EncodedClip]]:
        """Each file's tokens with its place in `paths`, in the order in which they are ready.

        Raises:
            EzavError: Ray gives the work up.
        """
        data = _ray_data()
        rows: list[dict[str, Any]] = [
            {"index": index, "file": os.fsencode(os.path.abspath(path))}
            for index, path in enumerate(paths)
        ]
        if not rows:
            return
        size = max(1, min(_MOST_IN_BLOCK, len(rows) // (4 * self.actors)))
        clips = data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            _Actor,
            batch_size=size,
            compute=data.ActorPoolStrategy(min_size=1, max_size=self.actors),
            fn_constructor_kwargs=self._arguments,
            num_cpus=self.workers,
            num_gpus=self.gpus or None,
        )
        seen: set[int] = set()
        try:
            for row in clips.iter_rows():
                index = int(row["index"])
                if index in seen:  # done again after an actor had died
                    continue
                seen.add(index)
                head, arrays = unpack(row["clip"])
                yield index, EncodedClip.of(head, arrays, Path(os.fsdecode(rows[index]["file"])))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[-1]
            raise UnavailableError(
                f"Ray gave up: {first}", "what was finished is kept; run the same command again"
            ) from error
        if len(seen) < len(rows):
            raise UnavailableError(
                f"Ray lost {len(rows) - len(seen)} of {len(rows)} clips", "run the command again"
            )

    def close(self) -> None:
        """Let go of a cluster that was started here."""
        if self._own:
            self._ray.shutdown()


class _Actor:
    """Runs on the cluster: rows of (index, file) to rows of (index, packed clip)."""

    def __init__(
        self,
        visual: list[EncoderSpec],
        audio: list[EncoderSpec],
        workers: int,
        reading: Reading,
        path: list[str],
    ) -> None:
        from ezav.encoders.registry import load_audio, load_visual
        from ezav.extraction.batch import placed

        sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
        self.pool = WorkerPool(
            placed(visual, load_visual),
            placed(audio, load_audio),
            workers=workers,
            reading=reading,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        files = [Path(os.fsdecode(file)) for file in batch["file"]]
        packed = np.empty(len(files), dtype=object)
        for row, clip in self.pool.encode(files):
            packed[row] = pack(*clip.message())
        return {"index": batch["index"], "clip": packed}


def _started(address: str | None) -> tuple[Any, bool]:
    """Ray, and whether a cluster was started for it here."""
    try:
        import ray
    except ImportError:
        raise UnavailableError("Ray is not installed", "pip install 'ezav[cluster]'") from None
    if ray.is_initialized():
        return ray, False
    # Where no cluster is meant, one of an environment variable must not be joined unasked.
    where = "local" if address is None else address
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UnavailableError(
            f"no Ray cluster at '{where}': {error}", "ray start --head"
        ) from error
    return ray, address is None


def _ray_data() -> Any:
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray.data
