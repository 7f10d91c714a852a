"""Progress of runs: the epochs of one; of many a live bar, or a line a run in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ezav.cli.common import progress

if TYPE_CHECKING:
    from ezav.protocol.validation import ValidationEpoch
    from ezav.training.trainer import EpochLog

Tell = Callable[[str, bool], None]
"""Called after each run: what to say of it, and whether it was done by an earlier call."""
Estimate = Callable[[], str]
"""The time left, in words; empty where nothing is known of it."""


@contextmanager
def runs_progress(title: str, total: int, estimate: Estimate | None = None) -> Iterator[Tell]:
    """Tell of runs as they end, with the time that the others will take.

    Args:
        title: of the bar.
        total: how many runs.
        estimate: says the time left; None: what they take at the pace so far. Runs done by an
            earlier call count as done, but not for that pace.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[news]}", markup=False),
    )
    live = progress.is_terminal
    started = time.monotonic()
    ended = fresh = 0
    with Progress(*columns, console=progress, disable=not live) as bar:
        first = "" if estimate is None else estimate()
        task = bar.add_task(title, total=total, left=first, news="")
        if first and not live:
            progress.print(first, soft_wrap=True)

        def tell(news: str, kept: bool = False) -> None:
            nonlocal ended, fresh
            ended += 1
            fresh += not kept
            left = ""
            if estimate is not None and ended < total:
                left = estimate()
            elif fresh and ended < total:
                left = time_left(time.monotonic() - started, fresh, total - ended)
            bar.update(task, completed=ended, left=left, news=news)
            if not live and not kept:
                line = f"{ended}/{total} {news}{left and f', {left}'}"
                progress.print(line, soft_wrap=True)

        yield tell


def time_left(seconds: float, done: int, remaining: int) -> str:
    """The time that `remaining` runs take if `done` took `seconds`.

    Example:
        >>> time_left(90, done=3, remaining=4)
        'about 0:02:00 left'
    """
    return f"about {timedelta(seconds=round(seconds / done * remaining))} left"


OnEpoch = Callable[[int, int, "ValidationEpoch | EpochLog"], None]


@contextmanager
def epoch_progress() -> Iterator[Callable[[str], OnEpoch]]:
    """Live lines for training: `title -> on_epoch`, with stage, loss and best validation HM."""
    from ezav.protocol.validation import ValidationEpoch

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} epochs {task.fields[news]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress, transient=True) as bar:

        def for_run(title: str) -> OnEpoch:
            best = 0.0
            tasks: dict[int, TaskID] = {}

            def on_epoch(stage: int, epochs: int, epoch: ValidationEpoch | EpochLog) -> None:
                nonlocal best
                if stage not in tasks:
                    tasks[stage] = bar.add_task(f"{title}: stage {stage}", total=epochs, news="")
                if isinstance(epoch, ValidationEpoch):
                    best = max(best, epoch.HM)
                    news = f"loss {epoch.log.loss:.3f} · best validation HM {best:.1%}"
                else:
                    news = f"loss {epoch.loss:.3f}"
                bar.update(tasks[stage], advance=1, news=news)

            return on_epoch

        yield for_run
