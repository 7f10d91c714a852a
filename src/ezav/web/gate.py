"""Whose turn it is: what costs seconds is done for so many visitors at a time, others wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.exceptions import HTTPException

LATER = {"retry-after": "2"}
"""When a client that is refused may ask again, in seconds."""

_Found = TypeVar("_Found")


class Gate:
    """Turns in the order in which they are asked for.

    What is done in them is done in as many threads: networks keep scratch memory, MBs of it, in
    each thread that ever ran them.

    Args:
        workers: requests that are served at a time.
        waiting: requests that may wait; of more it is said that they must come back.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self._turns = asyncio.Semaphore(workers)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ezav-turn")
        self._most = waiting
        self._waiting: Counter[str] = Counter()

    def waiting(self, client: str) -> int:
        """Requests of a client that wait."""
        return self._waiting[client]

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the block runs.

        Raises:
            HTTPException: 503, too many wait.
        """
        if self._waiting.total() >= self._most:
            raise HTTPException(503, "Too many visitors are waiting: come back in a moment.", LATER)
        self._waiting[client] += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= Counter([client])
        try:
            yield
        finally:
            self._turns.release()

    async def run(self, done: Callable[..., _Found], *given: object) -> _Found:
        """What a function gives that is called in a thread; for who has a turn."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, done, *given)
