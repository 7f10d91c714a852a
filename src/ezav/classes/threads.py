"""Threads: workers for compiled sweeps, and one thread only where more would just wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import torch

_lock = threading.Lock()
_inside = 0
_before = 1


def workers(count: int) -> ThreadPoolExecutor:
    """Threads for work that does not hold the interpreter; kept between calls."""
    return _workers(count, os.getpid())


@lru_cache(maxsize=2)
def _workers(count: int, process: int) -> ThreadPoolExecutor:
    # The threads of a parent process do not exist in a forked child, hence the key.
    return ThreadPoolExecutor(count, thread_name_prefix="ezav-classes")


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
