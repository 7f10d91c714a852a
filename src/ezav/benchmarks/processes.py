"""Processes that train side by side."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from ezav.errors import EzavError


def training_pool(processes: int) -> ProcessPoolExecutor:
    """Processes of one thread each, which end when this process does, however it ends."""
    # spawn: a forked child of a process that has used torch may hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent leaves its workers waiting for ever, each with the memory of a training run.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def process_died() -> EzavError:
    """What to say when a process of a pool was killed."""
    return EzavError(
        "a process died, perhaps for want of memory",
        "repeat the command with fewer --processes: what is finished is kept",
    )
