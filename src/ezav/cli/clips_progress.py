"""Progress over clips on stderr, with the time left: a bar for people, lines for logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from ezav.cli.common import progress

OnClip = Callable[[int, int, bool], None]
"""Told after each clip: how many are done, of how many, and whether this one was left out."""


@contextmanager
def clip_progress(doing: str, did: str, quiet: bool = False) -> Iterator[OnClip]:
    """A bar with clips a second and the time left; gives what is told after every clip.

    Where stderr is no terminal a line is written about every tenth of the work instead.

    Args:
        doing, did: the work in two words: "extracting", "extracted".
        quiet: say nothing.

    Example:
        >>> with clip_progress("reading", "read", quiet=True) as tell:
        ...     tell(1, 2, False)
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if quiet or not progress.is_terminal:
        yield _nothing if quiet else _Lines(did)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bar(*columns, console=progress) as bar:
        task = bar.add_task(doing, total=None, rate="", failed="")
        failed = 0

        def tell(done: int, total: int, left_out: bool) -> None:
            nonlocal failed
            failed += left_out
            speed = bar.tasks[0].speed
            bar.update(
                task,
                total=total,
                completed=done,
                rate=f"{speed:.1f} clips/s" if speed else "",
                failed=f"[yellow]{failed} left out[/yellow]" if failed else "",
            )

        yield tell


def _nothing(done: int, total: int, left_out: bool) -> None:
    del done, total, left_out


class _Lines:
    """A line about every tenth of the work, at most one a second."""

    def __init__(self, did: str) -> None:
        self._did = did
        self._begun = self._told = time.monotonic()
        self._failed = 0

    def __call__(self, done: int, total: int, left_out: bool) -> None:
        self._failed += left_out
        now = time.monotonic()
        due = done % max(1, total // 10) == 0 and now - self._told >= 1
        if not due and done < total:
            return
        self._told = now
        rate = done / max(1e-6, now - self._begun)
        parts = [f"{self._did} {done} of {total} clips", f"{rate:.1f} clips/s"]
        parts += [f"{self._failed} left out"] * bool(self._failed)
        parts += [f"{timedelta(seconds=round((total - done) / rate))} left"] * (done < total)
        progress.print(", ".join(parts))
