"""How large a network would be, before it is made: what a run says of itself is only data."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registered

from ezav.errors import RefusedError

_FREE = 1 << 26
"""Bytes and parts that a network may always have besides those of its weights file."""
_PARTS = 1000


def refuse_larger(make: Callable[[], nn.Module], size: int, tensors: int) -> None:
    """Make a network without memory, and refuse one that its weights file does not hold.

    Args:
        make: makes it.
        size: of the weights file in bytes.
        tensors: how many it holds.

    Raises:
        RefusedError: its tensors take more bytes than the file and 64 MiB, or it has far more
            parts than the file has tensors.

    Example:
        >>> refuse_larger(lambda: nn.Linear(100_000, 100_000), size=148, tensors=1)
        Traceback (most recent call last):
        ezav.errors.RefusedError: its settings make a network far larger than its weights
        >>> refuse_larger(lambda: nn.Linear(10, 10), size=148, tensors=1)
    """
    # What cannot be made so is a method of one's own, which the caller trusts.
    counted = _at_most(size + _FREE, _PARTS + 100 * tensors)
    with contextlib.suppress(RuntimeError, NotImplementedError), torch.device("meta"), counted:
        make()


@contextmanager
def _at_most(size: int, parts: int) -> Iterator[None]:
    """Stop making a network, in this thread, as soon as it is too large."""
    here, left = threading.get_ident(), [size, parts]

    def count(_: nn.Module, name: str, new: object) -> None:
        if threading.get_ident() != here:
            return
        left[0] -= new.numel() * new.element_size() if isinstance(new, Tensor) else 0
        left[1] -= 1
        if min(left) < 0:
            raise RefusedError("its settings make a network far larger than its weights")

    hooks = [
        registered.register_module_parameter_registration_hook(count),
        registered.register_module_buffer_registration_hook(count),
        registered.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
