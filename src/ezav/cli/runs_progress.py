"""Progress of many runs: a live bar on a terminal, a line a run in a log; the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ezav.cli.common import progress

Tell = Callable[[str, bool], None]
"""Called after each run: what to say of it, and whether it was done by an earlier call."""


@contextmanager
def runs_progress(title: str, total: int) -> Iterator[Tell]:
    """Tell of runs as they end, with the time that the others will take at the pace so far.

    Runs done by an earlier call count as done, but not for the pace.
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
        task = bar.add_task(title, total=total, left="", news="")

        def tell(news: str, kept: bool = False) -> None:
            nonlocal ended, fresh
            ended += 1
            fresh += not kept
            left = ""
            if fresh and ended < total:
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
