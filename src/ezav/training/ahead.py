"""Batches gathered by a background thread, one ahead of the step that is running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from ezav.methods.base import Batch


def ahead(
    gather: Callable[[Tensor], Batch], epoch: Iterable[Tensor], device: torch.device, slow: bool
) -> Iterator[Batch]:
    """`gather(index)` on `device` for every index of the epoch, in order.

    Args:
        gather: draws no random numbers, so that it does not matter when it runs.
        slow: the features are on disk: the next batch is read while this one is trained on. So
            it is where they are not on the device; else a thread would only be in the way.
    """
    indices = iter(epoch)
    first = next(indices, None)
    if first is None:
        return
    if not slow and first.device == device:
        yield gather(first)
        yield from map(gather, indices)
        return

    def fetch(index: Tensor) -> Batch:
        return _to_device(gather(index), device)

    with ThreadPoolExecutor(1, thread_name_prefix="gather") as thread:
        coming = thread.submit(fetch, first)
        for index in indices:
            batch = coming.result()
            coming = thread.submit(fetch, index)
            yield batch
        yield coming.result()


def _to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device, its negatives with it."""
    return replace(
        batch,
        audio=batch.audio.to(device),
        visual=batch.visual.to(device),
        labels=batch.labels.to(device),
        negative=None if batch.negative is None else _to_device(batch.negative, device),
    )
