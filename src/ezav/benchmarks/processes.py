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

from ezav.errors import UnavailableError


@contextmanager
def training_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each, which end when this process does, however it ends.

    After a failure what runs comes to its end and what waits is dropped; an interrupt ends both.

    Raises:
        UnavailableError: a process was killed.
    """
    # spawn: a forked child of a process that has used torch may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin) as pool:
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


def _begin() -> None:
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
