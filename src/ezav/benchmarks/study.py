"""A search as an Optuna study in an SQLite file: begun, gone on with, read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.benchmarks.space import Range, Space, Value, holds
from ezav.errors import DamagedError, EzavError, RefusedError, UnavailableError
from ezav.safe_io import open_for_writing
from ezav.system import lock_file

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

DATABASE = "tune.sqlite3"
LOCK_FILE = ".searching.lock"


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial: its mean validation HM over seeds, or why it has none.

    Attributes:
        state: `complete`, `pruned` (its first seeds were hopeless), `fail` (see `error`).
        hms: validation HM of each seed that ran.
    """

    number: int
    state: str
    HM: float | None
    hms: tuple[float, ...]
    settings: dict[str, Value]
    error: str = ""


def finished(study: Study) -> list[TrialResult]:
    """The finished trials of a study; those that a kill cut short are not among them."""
    from optuna.trial import TrialState

    return [
        result_of(trial)
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "error" in trial.user_attrs
    ]


def result_of(trial: FrozenTrial) -> TrialResult:
    """A finished trial, as what `ezav tune` tells of it."""
    return TrialResult(
        number=trial.number,
        state=trial.state.name.lower(),
        HM=trial.value if trial.state.name == "COMPLETE" else None,
        hms=tuple(trial.user_attrs.get("hms", ())),
        settings=dict(trial.params),
        error=trial.user_attrs.get("error", ""),
    )


_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite writes beside a database."""


def open_study(out: Path) -> Study:
    """The search in a folder, begun if there is none.

    Raises:
        RefusedError: a link, or a folder, is in the place of a file that SQLite writes.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # The path is not in the URL, where `?`, `%` and braces of a folder's name mean something.
    database = (out / DATABASE).absolute()
    for beside in _BESIDE:
        place = database.with_name(DATABASE + beside)
        if place.is_symlink() or (place.exists() and not place.is_file()):
            why = "it is a link" if place.is_symlink() else "it is no file"
            raise RefusedError(f"refused to write '{out / DATABASE}{beside}': {why}")
    os.close(open_for_writing(database))
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{DATABASE}",
        engine_kwargs={
            "creator": lambda: sqlite3.connect(database, timeout=60, check_same_thread=False)
        },
    )
    name = "tune"
    seen = 0
    with suppress(KeyError):
        seen = storage.get_n_trials(storage.get_study_id_from_name(name))
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        # A sampler has no memory of its own: the number of trials keeps it from repeating itself.
        sampler=optuna.samplers.TPESampler(seed=seen),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_min_trials=5),
    )


@contextmanager
def kept(out: Path) -> Iterator[None]:
    """What goes wrong with the file of a search, in one line.

    Raises:
        DamagedError: it does not hold what was written there: SQLite, SQLAlchemy and Optuna then
            raise errors of many kinds.
        UnavailableError: the system does not let it be read or written.
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except EzavError:
        raise
    except OperationalError as error:  # locked, no space, no right to write
        raise UnavailableError(f"cannot use '{out / DATABASE}': {error.orig}") from error
    except Exception as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise DamagedError(
            f"'{out / DATABASE}' is no search, or a damaged one: {why}",
            "choose another `out`, or get the folder again",
        ) from error


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep other searches out of a folder; the system lets go when the process ends.

    Raises:
        RefusedError: another process searches there.
    """
    # Not the folder itself, which `ask` locks. Workers do not inherit an open file.
    with os.fdopen(open_for_writing(out / LOCK_FILE), "r+") as file:
        try:
            lock_file(file.fileno())
        except BlockingIOError:
            raise RefusedError(
                f"another process goes on with the search '{out}'",
                "wait for it; `processes` says how many trials it runs in parallel",
            ) from None
        yield


def ask(out: Path) -> tuple[Study, Trial]:
    """The next trial of the search in a folder: of several processes, each gets one of its own."""
    # SQLite has no row locks: two that ask at once would both get the same queued trial. And the
    # study is opened under the lock, for its sampler is seeded by the trials there are.
    # Windows opens no folders.
    held = os.open(out, os.O_RDONLY) if os.name == "posix" else open_for_writing(out / ".asking")
    try:
        lock_file(held, wait=True)
        study = open_study(out)
        return study, study.ask()
    finally:
        os.close(held)


def take_up(study: Study, first: dict[str, Value], grid: Sequence[dict[str, Value]]) -> None:
    """Queue the recipe itself (`first`), again what a kill left unfinished, and the grid's rest."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial({**trial.system_attrs.get("fixed_params", {}), **trial.params})
    if not trials:
        study.enqueue_trial(first)
    for values in grid:
        study.enqueue_trial(values, skip_if_exists=True)


def suggest(space: Space, trial: Trial) -> dict[str, Value]:
    """The settings of a trial; one whose condition does not hold is left out."""
    values: dict[str, Value] = {}
    for path, one in space.items():
        if not holds(one, values):
            continue
        if not isinstance(one, Range):
            chosen: Any = trial.suggest_categorical(path, one.choices)
            values[path] = chosen
        elif isinstance(one.low, int) and isinstance(one.high, int):
            values[path] = trial.suggest_int(path, one.low, one.high, log=one.log)
        else:
            values[path] = trial.suggest_float(path, one.low, one.high, log=one.log)
    return values
