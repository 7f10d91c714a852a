"""What a process and its children hold over time: memory, open files, threads, temporary files."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psutil

BOUND = 1.25
"""Memory late, of that in the middle; more is a leak."""
ENOUGH = 100
"""Notes of which it is judged: a shorter run has mostly begun."""
SPARE = 20
"""Open files and threads late, above those in the middle; more is a leak."""


def surroundings(places: Path) -> dict[str, str]:
    """Of a command that finds what this process finds, and has its temporary files in a folder."""
    path = os.pathsep.join(one for one in sys.path if one)
    return dict(os.environ, TMPDIR=str(places), PYTHONPATH=path, COLUMNS="200")


@dataclass(frozen=True)
class Row:
    """One note; `files` and `threads` are of all processes together."""

    seconds: float
    own: float
    """MiB of the process itself."""
    children: float
    """MiB of the processes that it began."""
    files: int
    threads: int
    processes: int
    temporary: int
    """Files and folders in the folder for temporary ones."""
    cpu: float
    """Seconds of the processor until now, of those that live."""


class Held:
    """Notes now and then.

    Args:
        process: whose; with its children.
        folder: for its temporary files.
        every: seconds from note to note.
        table: a CSV file of all notes, to be looked into on the way.
    """

    def __init__(self, process: psutil.Process, folder: Path, every: float, table: Path) -> None:
        self.rows: list[Row] = []
        self._process, self._folder, self._every, self._table = process, folder, every, table
        table.write_text(",".join(one.name for one in fields(Row)) + "\n")
        self._over, self._begun = threading.Event(), time.monotonic()

    def note(self) -> None:
        """One row; none where the process is gone."""
        own = children = cpu = 0.0
        files = threads = processes = 0
        try:
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return
        for one in family:
            try:
                memory = one.memory_info().rss / 2**20
                files, threads = files + one.num_fds(), threads + one.num_threads()
                cpu += sum(one.cpu_times()[:2])
            except psutil.Error:  # it has just ended
                continue
            processes += 1
            own, children = (memory, children) if one == family[0] else (own, children + memory)
        # What goes meanwhile is passed over.
        temporary = sum(len(some) + len(more) for _, some, more in os.walk(self._folder))
        seconds = time.monotonic() - self._begun
        row = Row(seconds, own, children, files, threads, processes, temporary, cpu)
        self.rows.append(row)
        with self._table.open("a") as file:
            file.write(",".join(f"{value:.1f}" for value in astuple(row)) + "\n")

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note at the beginning, every so many seconds, and at the end."""

        def run() -> None:
            while not self._over.wait(self._every):
                self.note()

        self.note()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.note()

    def show(self, what: str) -> None:
        """The table, the largest of each quarter, and an error where something grows."""
        rows = [row for row in self.rows if row.own]
        print(what)
        print("| | s | MiB | of children | files | threads | processes | temporary | cpu |")
        print("|---|---|---|---|---|---|---|---|---|")
        quarters = [rows[len(rows) * n // 4 : max(1, len(rows) * (n + 1) // 4)] for n in range(4)]
        largest = [tuple(map(max, zip(*map(astuple, some)))) for some in quarters if some]
        told = [("begin", astuple(rows[0]))]
        told += [(f"largest of quarter {n + 1}", row) for n, row in enumerate(largest)]
        for name, row in (*told, ("end", astuple(rows[-1]))):
            print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in row) + " |")
        sys.stdout.flush()
        middle, late = largest[len(largest) // 2 - 1], largest[-1]
        grows = late[1] > BOUND * middle[1] or any(late[n] > middle[n] + SPARE for n in (3, 4))
        if grows and len(rows) >= ENOUGH:
            raise SystemExit("something grows")
