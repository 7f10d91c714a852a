"""Choose settings on validation: Optuna over a method's space, mean validation HM over seeds.

Only stage 1 of the protocol runs, so no test clip is ever read. Trials live in an SQLite file: a
search that was stopped goes on, and several processes share one.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ezav.benchmarks.processes import training_pool
from ezav.benchmarks.search import Search, base_values, plain_settings
from ezav.benchmarks.space import combinations, settings_from
from ezav.benchmarks.study import (
    TrialResult,
    alone_in,
    ask,
    finished,
    kept,
    open_study,
    result_of,
    suggest,
    take_up,
)
from ezav.errors import EzavError, RefusedError
from ezav.features.store import FeatureStore
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.recipe import DEFAULT, load_recipe
from ezav.recipes.settings import changed
from ezav.reports.tables import to_csv
from ezav.safe_io import write_text
from ezav.threads import one_thread

if TYPE_CHECKING:
    from optuna import Trial

OnTrial = Callable[[TrialResult, bool], None]
"""Called after each trial, with whether an earlier call had finished it."""


def tune(
    search: Search,
    out: Path,
    trials: int,
    processes: int | None = None,
    on_trial: OnTrial = lambda trial, kept: None,
) -> list[TrialResult]:
    """Run trials until there are `trials` in all; returns all, in order.

    The first trial is the recipe as it is, so that the best is never worse than it on
    validation. A space of choices only, no more of them than `trials`, is tried out, each once.
    Trials that a kill left unfinished are run again with the same settings. With one process the
    search is a function of its settings, as long as it is not interrupted.

    Args:
        search: what to search.
        out: the folder of the search, written by one `tune` at a time.
        trials: how many there shall be, those of earlier calls included.
        processes: trials in parallel; by default one a CPU core.
        on_trial: told of every finished trial, and whether an earlier call had finished it.

    Raises:
        RefusedError: the folder holds another search, or another process goes on with it.
        DamagedError: its file is damaged.
        EzavError: every trial failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        every = combinations(search.space)
        grid = every if every is not None and len(every) <= trials else []
        with kept(out):
            study = open_study(out)
            key = study.user_attrs.get("key")
            if key is None:
                study.set_user_attr("key", search.key())
            elif key != search.key():
                raise RefusedError(
                    f"'{out}' holds a search with other settings (or on another store)",
                    "choose another `out`, or repeat the settings",
                )
            take_up(study, base_values(search), grid)
            before = finished(study)
        for done in before:
            on_trial(done, True)
        tried = [one.settings for one in before]
        missing = sum(one not in tried for one in grid) if grid else trials - len(before)
        processes = min(processes or os.cpu_count() or 1, max(missing, 1))
        if processes == 1:
            for _ in range(missing):
                with one_thread():  # as in a pool: a trial must not depend on how many there are
                    done = run_trial(search, out)
                on_trial(done, False)
        elif missing > 0:
            _in_processes(search, out, missing, processes, on_trial)
        results = finished(study)
        if trials > 0 and not any(one.state == "complete" for one in results):
            raise EzavError(f"every trial failed: {results[0].error}")
        return results


def best_of(trials: Sequence[TrialResult]) -> TrialResult:
    """The trial of the highest mean validation HM; of equals the first.

    Example:
        >>> trials = [
        ...     TrialResult(number=n, state="complete", HM=hm, hms=(hm,), settings={})
        ...     for n, hm in enumerate((0.1, 0.3, 0.3))
        ... ]
        >>> best_of(trials).number
        1
    """
    complete = [trial for trial in trials if trial.state == "complete" and trial.HM is not None]
    return max(complete, key=lambda trial: (trial.HM or 0.0, -trial.number))


def as_given(search: Search, trials: Sequence[TrialResult]) -> TrialResult | None:
    """The trial of the recipe as it is: the first, unless a kill made it run again later."""
    return next((one for one in trials if one.settings == base_values(search)), None)


def write_search(search: Search, trials: Sequence[TrialResult], out: Path) -> Path:
    """Write `trials.csv` and the best as a recipe, `<method>-tuned.yaml`; returns the recipe."""
    names = list(search.space)
    rows: list[list[object]] = [["trial", "state", "validation_HM", "seeds", *names, "error"]]
    for trial in trials:
        hm = "" if trial.HM is None else trial.HM
        values = [trial.settings.get(name, "") for name in names]
        rows.append([trial.number, trial.state, hm, len(trial.hms), *values, trial.error])
    write_text(out / "trials.csv", to_csv(rows))
    best = best_of(trials)
    store = FeatureStore.open(search.store)
    source = (
        f"ezav tune on {store.header.dataset} {store.header.setting} ({store.fingerprint[:12]}): "
        f"trial {best.number} of {len(trials)}, mean validation HM {best.HM:.4f} over "
        f"{len(search.seeds)} seeds; no test clip was read"
    )
    method = search.protocol.method
    default = plain_settings(TwoStageProtocol(method=method))
    own = changed(default, plain_settings(search.protocol))
    settings = settings_from(own, best.settings)  # what was tuned is said, default or not
    recipe = {"method": method, "source": source, "settings": {DEFAULT: settings}}
    path = out / f"{method}-tuned.yaml"
    write_text(path, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100))
    load_recipe.cache_clear()  # the file may have been read before it was written anew
    return path


def run_trial(search: Search, out: Path) -> TrialResult:
    """Run the next trial of the search in `out`: stage 1 with every seed."""
    with kept(out):
        study, trial = ask(out)
    state, value = _evaluate(search, trial)
    with kept(out):
        study.tell(trial, value, state=state)
    return result_of(study.get_trials(deepcopy=False)[trial.number])


def _evaluate(search: Search, trial: Trial) -> tuple[Any, float | None]:
    from optuna.trial import TrialState

    values = suggest(search.space, trial)
    store = FeatureStore.open(search.store)
    hms: list[float] = []
    try:
        protocol = search.protocol_of(values)
        for seed in search.seeds:
            hms.append(replace(protocol, seed=seed).validate(store).HM)
            trial.set_user_attr("hms", hms)
            trial.report(statistics.fmean(hms), len(hms))
            if len(hms) < len(search.seeds) and trial.should_prune():
                return TrialState.PRUNED, None
    except EzavError as error:  # diverged, or settings that do not go together
        trial.set_user_attr("error", error.message)
        return TrialState.FAIL, None
    mean = statistics.fmean(hms)
    return TrialState.COMPLETE, 0.0 if math.isnan(mean) else mean


def _in_processes(
    search: Search,
    out: Path,
    missing: int,
    processes: int,
    on_trial: OnTrial,
) -> None:
    with training_pool(processes) as pool:
        running: set[Future[TrialResult]] = set()
        while missing or running:
            while missing and len(running) < processes:
                running.add(pool.submit(run_trial, search, out))
                missing -= 1
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                on_trial(future.result(), False)
