"""Processes that train side by side."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from ezav.errors import UnavailableError

_NEEDED = ["ezav.benchmarks.runner", "ezav.protocol.two_stage", "ezav.classes.objective"]


@contextmanager
def training_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each, which end when this process does, however it ends.

    After a failure what runs comes to its end and what waits is dropped; an interrupt ends both.

    Raises:
        UnavailableError: a process was killed.
    """
    handed = (dict(os.environ),)
    with ProcessPoolExecutor(processes, _server(), _begin, handed) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise UnavailableError(
                "a process died, perhaps for want of memory",
                "repeat it with fewer `processes`: what is finished is kept",
            ) from error
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):  # runs and trials in hand go on another time
                for worker in multiprocessing.active_children():
                    worker.terminate()
            raise


def _server() -> ForkServerContext:
    """Where processes are forked from: one that has imported what they need, and used none of it.

    A forked child of this process, which may have used torch, might hang.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_NEEDED)
    # Without this a numpy.py in the current folder would be imported.
    safe = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if safe is not None:
            os.environ["PYTHONSAFEPATH"] = safe
    return context


def _begin(environment: dict[str, str]) -> None:
    os.environ.clear()  # the server's, of an earlier time
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent ends the others
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent leaves its workers waiting for ever, each with the memory of a training run.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
