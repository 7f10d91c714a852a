"""Many runs (methods x seeds) in parallel processes; what is done already is kept."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.alone import alone
from ezav.benchmarks.processes import training_pool
from ezav.errors import EzavError, RefusedError
from ezav.manifest import differences, read_manifest
from ezav.protocol.files import RESULT
from ezav.protocol.result import RunResult
from ezav.threads import one_thread

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings
    from ezav.features.store import FeatureStore
    from ezav.protocol.two_stage import TwoStageProtocol


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be had: by which protocol, on which store, and where its folder goes.

    Attributes:
        protocol: the method, its settings, the seed (:func:`ezav.recipes.protocol_for`).
        store: path of the feature store.
        folder: of the run.
        label: what tables call it.
        texts: class embeddings in the place of the store's.
    """

    protocol: TwoStageProtocol
    store: Path
    folder: Path
    label: str
    texts: tuple[ClassEmbeddings, ...] = ()

    @property
    def seed(self) -> int:
        """Of the protocol."""
        return self.protocol.seed


OnDone = Callable[[Job, RunResult], None]
"""Called after each job, also for one that was done before."""


def is_done(job: Job, store: FeatureStore, tell: bool = True) -> RunResult | None:
    """The result of a job if its folder holds exactly that run, by whichever version of ezav.

    None where it is to be run: for the first time, or again, as it is of other settings or cannot
    be read (which is said, a warning, where `tell` is not False).

    Raises:
        RefusedError: the folder was changed after it was written: it is neither taken nor replaced.
    """
    from ezav.protocol.kept import difference
    from ezav.protocol.run_folder import read_result

    if not (job.folder / RESULT).is_file():
        return None
    if wrong := differences(job.folder, read_manifest(job.folder) or {}):
        raise RefusedError(
            f"refused the run '{job.folder}': it was changed after it was written ({wrong[0]})",
            "remove it, and it is run again",
        )
    try:
        result = read_result(job.folder)
    except EzavError as error:
        if tell:
            warnings.warn(f"run again: {error.message}", stacklevel=2)
        return None
    return None if difference(result, job.protocol, store, job.label) else result


def run_job(job: Job) -> RunResult:
    """Fit, test and write one run; an outdated folder of the same job is replaced."""
    from ezav.features.store import FeatureStore
    from ezav.protocol.run_folder import checkpoint_of, write_run

    with alone(job.folder):
        store = FeatureStore.open(job.store).read_as(job.texts)
        if done := is_done(job, store, tell=False):  # by another process, meanwhile
            return done
        fitted = job.protocol.fit(store, checkpoint=checkpoint_of(job.folder))
        if (job.folder / RESULT).is_file():
            shutil.rmtree(job.folder)
        return write_run(fitted, job.folder, job.label)


def run_jobs(
    jobs: Sequence[Job],
    processes: int | None = None,
    on_done: OnDone = lambda job, result: None,
) -> list[RunResult]:
    """All jobs' results, in their order; finished ones are read, the others run in parallel.

    A process computes with one thread, this one too: small networks gain nothing from more, and
    a result must not depend on how many processes there were. A kill loses the runs in hand
    only, since a run folder appears in one step.

    Args:
        jobs: what to run.
        processes: by default one a CPU core; 1 runs in this process.
        on_done: called in this process after each job, also for those done before.

    Raises:
        RefusedError: a folder holds something else than a run; said before any job runs.
        EzavError: of the first job that failed, after the running ones have ended.
    """
    from ezav.features.store import FeatureStore
    from ezav.protocol.run_folder import check_free

    stores = {job.store: FeatureStore.open(job.store) for job in jobs}
    results: dict[int, RunResult] = {}
    for position, job in enumerate(jobs):
        if done := is_done(job, stores[job.store].read_as(job.texts)):
            results[position] = done
            on_done(job, done)
    waiting = [position for position in range(len(jobs)) if position not in results]
    for position in waiting:
        if not (jobs[position].folder / RESULT).is_file():  # else it is replaced
            check_free(jobs[position].folder)
    processes = min(processes or os.cpu_count() or 1, len(waiting))
    if processes <= 1:
        for position in waiting:
            with one_thread():
                results[position] = run_job(jobs[position])
            on_done(jobs[position], results[position])
    else:
        _in_processes(jobs, waiting, processes, results, on_done)
    return [results[position] for position in range(len(jobs))]


def _in_processes(
    jobs: Sequence[Job],
    waiting: Sequence[int],
    processes: int,
    results: dict[int, RunResult],
    on_done: OnDone,
) -> None:
    with training_pool(processes) as pool:
        futures = {pool.submit(run_job, jobs[position]): position for position in waiting}
        for future in as_completed(futures):
            position = futures[future]
            results[position] = future.result()
            on_done(jobs[position], results[position])
