"""Threads: workers for compiled sweeps, and one thread only where more would just wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch

# Below this many elements one thread is done before a second one has started.
_ONE_THREAD = 50_000
_lock = threading.Lock()
_inside = 0
_before = 1


def workers(count: int) -> ThreadPoolExecutor:
    """Threads for work that does not hold the interpreter; kept between calls.

    Example:
        >>> list(workers(2).map(abs, [-1, -2]))
        [1, 2]
    """
    return _workers(count, os.getpid())


@lru_cache(maxsize=2)
def _workers(count: int, process: int) -> ThreadPoolExecutor:
    # The threads of a parent process do not exist in a forked child, hence the key.
    return ThreadPoolExecutor(count, thread_name_prefix="ezav")


def in_parts(work: Callable[[slice], None], rows: int, columns: int) -> None:
    """Call `work` on slices that make up all rows, on `torch.get_num_threads()` threads.

    Example:
        >>> done = np.zeros(10)
        >>> def fill(rows: slice) -> None:
        ...     done[rows] += 1
        >>> in_parts(fill, rows=10, columns=3)
        >>> done.tolist() == [1] * 10
        True
    """
    threads = torch.get_num_threads()
    if threads == 1 or rows * columns < _ONE_THREAD:
        work(slice(0, rows))
        return
    edges = np.linspace(0, rows, 4 * threads + 1).astype(int)
    list(workers(threads).map(work, map(slice, edges[:-1], edges[1:])))


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Let torch use one thread in this block, and as many as before once all such blocks ended.

    Small tensors are quickest so: on a busy machine threads mostly wait for each other.

    Example:
        >>> before = torch.get_num_threads()
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
        >>> torch.get_num_threads() == before
        True
    """
    global _inside, _before
    if not when:
        yield
        return
    with _lock:
        if _inside == 0:
            _before = torch.get_num_threads()
            torch.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_before)
