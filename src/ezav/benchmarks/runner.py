"""Many runs (methods x seeds) in parallel processes; what is done already is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.benchmarks.processes import training_pool
from ezav.errors import EzavError
from ezav.protocol.result import RESULT, RunResult
from ezav.threads import one_thread

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore
    from ezav.protocol.two_stage import TwoStageProtocol


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be had: what, on which store, with which seed, and where its folder goes."""

    store: Path
    folder: Path
    method: str
    label: str
    seed: int
    config: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    text_encoder: str | None = None
    device: str = "cpu"


def is_done(job: Job, store: FeatureStore) -> RunResult | None:
    """The result of a job if its folder holds exactly that run of this version of ezav."""
    from ezav.protocol.run_folder import difference, read_result

    if not (job.folder / RESULT).is_file():
        return None
    try:
        result = read_result(job.folder)
    except EzavError:
        return None
    return None if difference(result, protocol_of(job), store, job.label) else result


def protocol_of(job: Job) -> TwoStageProtocol:
    """What a job trains and tests by.

    Raises:
        EzavError: an unknown method or field.
    """
    from ezav.protocol.two_stage import TwoStageProtocol

    config, training = resolve(job)
    return TwoStageProtocol(
        method=job.method,
        config=config,
        training=training,
        seed=job.seed,
        device=job.device,
        text_encoder=job.text_encoder,
    )


def resolve(job: Job) -> tuple[Any, Any]:
    """The typed config and training settings of a job.

    Raises:
        EzavError: an unknown method or field.
    """
    return typed_settings(job.method, job.config, job.training)


def typed_settings(method: str, config: dict[str, Any], training: dict[str, Any]) -> Any:
    """A method's config and the training settings from plain data, checked field by field.

    What is not given, inside a nested setting too, is as in the method's own default:
    `{"classes": {"shuffle": True}}` changes nothing else about the classes.

    Raises:
        EzavError: an unknown method or field, or a value of the wrong kind.
    """
    from ezav.methods import registry
    from ezav.methods.common.config_check import parse
    from ezav.protocol.run_folder import parse_config, plain_config
    from ezav.training.config import TrainingConfig

    found = registry.get(method, import_code=True)  # a recipe's was asked for when it was read
    typed_config = parse_config(found, merged(plain_config(found.Config()), config))
    return typed_config, parse(TrainingConfig, training, "training")


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, dictionaries inside merged too.

    Example:
        >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 5}})
        {'a': {'b': 5, 'c': 2}}
    """
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            value = merged(inner, value)
        result[name] = value
    return result


def run_job(job: Job) -> RunResult:
    """Fit, test and write one run; an outdated folder of the same job is replaced."""
    from ezav.features.store import FeatureStore
    from ezav.protocol.run_folder import checkpoint_of, write_run

    store = FeatureStore.open(job.store)
    fitted = protocol_of(job).fit(store, checkpoint=checkpoint_of(job.folder))
    if (job.folder / RESULT).is_file():
        shutil.rmtree(job.folder)
    return write_run(fitted, job.folder, job.label)


def run_jobs(
    jobs: Sequence[Job],
    processes: int | None = None,
    on_done: Callable[[Job, RunResult], None] = lambda job, result: None,
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
        EzavError: a folder holds something else than a run, before any job runs; the first job
            that failed, after the running ones have ended.
    """
    from ezav.features.store import FeatureStore
    from ezav.protocol.run_folder import check_free

    stores = {job.store: FeatureStore.open(job.store) for job in jobs}
    results: dict[int, RunResult] = {}
    for position, job in enumerate(jobs):
        if done := is_done(job, stores[job.store]):
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
    on_done: Callable[[Job, RunResult], None],
) -> None:
    with training_pool(processes) as pool:
        futures = {pool.submit(run_job, jobs[position]): position for position in waiting}
        for future in as_completed(futures):
            position = futures[future]
            results[position] = future.result()
            on_done(jobs[position], results[position])
