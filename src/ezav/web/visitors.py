"""Who visits the page: each has a workbench, for as long as the page is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ezav.errors import RefusedError
from ezav.web.bench import Bench
from ezav.web.settings import WebSettings

MOST = 256
"""Visitors at a time, a quarter of them of one client; the one that was away longest makes room."""
_SWEEP_SECONDS = 5.0
_LEAVING_SECONDS = 20.0
"""For a page that is loaded again to come back to what it had."""


@dataclass(slots=True, eq=False)
class _Visit:
    client: str
    bench: Bench
    leaving: float | None = None


class Visitors:
    """Visitors by what their pages call themselves, which nobody else can guess.

    Args:
        begin: a new workbench.
        settings: how much is kept, and for how long.
    """

    def __init__(self, begin: Callable[[], Bench], settings: WebSettings) -> None:
        self._begin, self._settings = begin, settings
        self._lock = threading.Lock()
        self._visits: dict[str, _Visit] = {}

    def __len__(self) -> int:
        return len(self._visits)

    def alone(self) -> Bench:
        """A workbench that is not kept, for one answer."""
        return self._begin()

    def bench(self, who: str, client: str) -> Bench:
        """The visitor's workbench; a new one at the first visit."""
        with self._lock:
            visit = self._visits.get(who)
            if visit is None:
                self._make_room(client)
                visit = self._visits[who] = _Visit(client, self._begin())
            visit.leaving = None
            visit.bench.used = time.monotonic()
            return visit.bench

    def leave(self, who: str) -> None:
        """The page was closed, or is loaded again."""
        with self._lock:
            if who in self._visits:
                self._visits[who].leaving = time.monotonic()

    def kept(self, client: str | None = None) -> int:
        """Bytes that are kept, about; for one client, or for all."""
        with self._lock:
            some = [one for one in self._visits.values() if client in (None, one.client)]
        return sum(one.bench.size for one in some)

    def check_room(self, client: str) -> None:
        """Refuse what would be kept beyond the limits.

        Raises:
            RefusedError: too much is kept for this client, or for all.
        """
        if self.kept(client) > self._settings.max_of_one:
            raise RefusedError("too much is kept for you", "take clips out of the table")
        if self.kept() > self._settings.max_kept:
            raise RefusedError("the server keeps too much", "come back in some minutes")

    def sweep(self, now: float | None = None) -> None:
        """Forget those who closed their page, or were away too long."""
        now = time.monotonic() if now is None else now
        long = 60 * self._settings.keep_minutes
        with self._lock:
            for who, one in list(self._visits.items()):
                left = one.leaving is not None and now - one.leaving > _LEAVING_SECONDS
                if left or now - one.bench.used > long:
                    del self._visits[who]

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Sweep every few seconds while the block runs."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(_SWEEP_SECONDS):
                self.sweep()

        thread = threading.Thread(target=run, name="ezav-sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _make_room(self, client: str) -> None:
        mine = [who for who, one in self._visits.items() if one.client == client]
        for some, most in ((mine, MOST // 4), (list(self._visits), MOST)):
            if len(some) >= most:
                del self._visits[min(some, key=lambda who: self._visits[who].bench.used)]
