"""Choose settings on validation: Optuna over a method's space, mean validation HM over seeds.

Only stage 1 of the protocol runs, so no test clip is ever read. Trials live in an SQLite file: a
search that was stopped goes on, and several processes share one.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ezav.benchmarks.processes import training_pool
from ezav.benchmarks.space import (
    Choice,
    Range,
    Space,
    Value,
    combinations,
    holds,
    settings_from,
)
from ezav.benchmarks.study import (
    TrialResult,
    alone_in,
    ask,
    finished,
    open_study,
    result_of,
    suggest,
    take_up,
)
from ezav.errors import EzavError, RefusedError
from ezav.features.store import FeatureStore
from ezav.protocol.settings import plain_config
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.recipe import DEFAULT, load_recipe
from ezav.recipes.settings import changed, protocol_for, typed_settings
from ezav.reports.tables import to_csv
from ezav.safe_io import write_text
from ezav.threads import one_thread

if TYPE_CHECKING:
    from optuna import Trial


SEARCH_VERSION = 1
"""Of what a folder of a search holds; raised when an older one could not be gone on with."""
OnTrial = Callable[[TrialResult, bool], None]
"""Called after each trial, with whether an earlier call had finished it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: nothing but the number of trials may change when a search goes on.

    Attributes:
        protocol: the recipe's own run: the first trial, and what the space does not name.
        store: path of the feature store.
        space: what is tried.
        seeds: every trial runs all of them, unless its first ones are hopeless (below the median
            of the other trials at the same number of seeds).
    """

    protocol: TwoStageProtocol
    store: Path
    space: Space
    seeds: tuple[int, ...]

    def key(self) -> str:
        """What a stored search must share to go on, whichever version stored it."""
        facts = {
            "search": SEARCH_VERSION,
            "protocol": self.protocol.key(FeatureStore.open(self.store)),
            "space": {name: one.model_dump() for name, one in self.space.items()},
            "seeds": self.seeds,
        }
        return json.dumps(facts, sort_keys=True)

    def protocol_of(self, values: Mapping[str, Value]) -> TwoStageProtocol:
        """The run of a trial.

        Raises:
            EzavError: the method does not have such settings.
        """
        settings = settings_from(_plain(self.protocol), dict(values))
        config, training = typed_settings(
            self.protocol.method, settings["config"], settings["training"]
        )
        return replace(self.protocol, config=config, training=training)


def _plain(protocol: TwoStageProtocol) -> dict[str, dict[str, Any]]:
    """`{"config": …, "training": …}` of a run, every setting."""
    return {"config": plain_config(protocol.config), "training": asdict(protocol.training)}


def search_for(
    store: FeatureStore,
    recipe: str | Path,
    space: Space,
    seeds: Sequence[int],
    *,
    training: Mapping[str, Any] | None = None,
    text_encoder: str | None = None,
    device: str = "cpu",
    import_code: bool = False,
) -> Search:
    """The search that starts from a recipe's setting for the store's suite.

    Where the recipe's own value lies outside the space, the space is widened to hold it.

    Args:
        store: the features.
        recipe: its name or file, or a method of one's own.
        space: what is tried.
        seeds: of every trial.
        training: overrides of the recipe's training settings.
        text_encoder, device: as for :class:`ezav.protocol.TwoStageProtocol`.
        import_code: import a method of one's own that a recipe file names (`docs/trust.md`).

    Raises:
        NotFoundError: an unknown recipe or text encoder.
        RefusedError: a recipe file names a method that would have to be imported.
        EzavError: a space whose settings the method does not have.
    """
    store.class_embeddings(text_encoder)  # it is there, or this says what is
    protocol = protocol_for(
        load_recipe(recipe, import_code=import_code),
        store,
        training=training,
        text_encoder=text_encoder,
        device=device,
    )
    search = Search(protocol=protocol, store=store.path, space=space, seeds=tuple(seeds))
    for path, one in space.items():
        for value in (one.low, one.high) if isinstance(one, Range) else one.choices:
            if path.split(".")[0] not in ("config", "training"):
                raise EzavError(
                    f"the space names '{path}'", "settings begin with 'config.' or 'training.'"
                )
            try:
                search.protocol_of({path: value})
            except EzavError as error:
                raise EzavError(
                    f"the space's {path} = {value}: {error.message}", error.hint
                ) from error
    return replace(
        search,
        space={path: _holding(path, one, _base_value(search, path)) for path, one in space.items()},
    )


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
        EzavError: every trial failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        study = open_study(out)
        key = study.user_attrs.get("key")
        if key is None:
            study.set_user_attr("key", search.key())
        elif key != search.key():
            raise RefusedError(
                f"'{out}' holds a search with other settings (or on another store)",
                "choose another `out`, or repeat the settings",
            )
        every = combinations(search.space)
        grid = every if every is not None and len(every) <= trials else []
        take_up(study, _base_values(search), grid)
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
    """The trial of the highest mean validation HM; of equals the first."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.HM is not None]
    return max(complete, key=lambda trial: (trial.HM or 0.0, -trial.number))


def as_given(search: Search, trials: Sequence[TrialResult]) -> TrialResult | None:
    """The trial of the recipe as it is: the first, unless a kill made it run again later."""
    return next((one for one in trials if one.settings == _base_values(search)), None)


def write_search(search: Search, trials: Sequence[TrialResult], out: Path) -> Path:
    """Write `trials.csv` and the best as a recipe, `<method>-tuned.yaml`; returns the recipe."""
    names = list(search.space)
    rows: list[list[Any]] = [["trial", "state", "validation_HM", "seeds", *names, "error"]]
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
    default = _plain(TwoStageProtocol(method=method))
    own = changed(default, _plain(search.protocol))
    settings = settings_from(own, best.settings)  # what was tuned is said, default or not
    recipe = {"method": method, "source": source, "settings": {DEFAULT: settings}}
    path = out / f"{method}-tuned.yaml"
    write_text(path, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100))
    load_recipe.cache_clear()  # the file may have been read before it was written anew
    return path


def _base_values(search: Search) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for path, one in search.space.items():
        if holds(one, values):
            values[path] = _base_value(search, path)
    return values


def _base_value(search: Search, path: str) -> Value:
    """What the recipe, or else the method's default, has for a setting of the space.

    Raises:
        EzavError: it has none, since the setting is inside one that may hold anything.
    """
    value: Any = _plain(search.protocol)
    for name in path.split("."):
        if name not in value:
            raise EzavError(
                f"the space names '{path}', which the recipe does not set",
                "the recipe is the first trial: set it in a recipe file, and give that as `recipe`",
            )
        value = value[name]
    found: Value = value
    return found


def _holding(path: str, one: Choice | Range, value: Value | None) -> Choice | Range:
    """The same space, widened where needed to hold a value: the recipe's own must be in it.

    Raises:
        EzavError: no range of this kind can hold it.
    """
    if isinstance(one, Choice):
        inside = value in one.choices
        return one if inside else one.model_copy(update={"choices": (*one.choices, value)})
    if not isinstance(value, (int, float)) or (one.log and value <= 0):
        kind = "log range" if one.log else "range"
        raise EzavError(
            f"the space's {path} is a {kind}, which cannot hold the recipe's own, {value}",
            "the recipe is the first trial: give choices, its own among them",
        )
    low, high = min(one.low, value), max(one.high, value)
    if value != int(value):
        low, high = float(low), float(high)  # two whole ends would try whole numbers only
    return one.model_copy(update={"low": low, "high": high})


def run_trial(search: Search, out: Path) -> TrialResult:
    """Run the next trial of the search in `out`: stage 1 with every seed."""
    study, trial = ask(out)
    state, value = _evaluate(search, trial)
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
