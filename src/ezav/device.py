"""The one check of a device, for Python and every command."""

from __future__ import annotations

from ezav.errors import UnavailableError


def choose_device(name: object = "auto") -> str:
    """A device that tensors can be put on, by the name that torch has for it.

    Args:
        name: "cpu", "cuda", "cuda:1", …, a `torch.device`, or "auto": a GPU where there is one.

    Raises:
        UnavailableError: it is not usable on this machine, or no device at all.

    Example:
        >>> choose_device("cpu")
        'cpu'
        >>> choose_device("cudaa")
        Traceback (most recent call last):
        ezav.errors.UnavailableError: there is no device 'cudaa'; ...
    """
    import torch

    name = str(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(name)
    except RuntimeError as error:
        hint = "write cpu, cuda, cuda:0 or auto"
        raise UnavailableError(f"there is no device '{name}'", hint) from error
    try:
        # Read back: `meta` takes any tensor and holds none. Torch asserts where it was built
        # without a kind of device.
        torch.zeros(1, device=name).item()
    except (AssertionError, RuntimeError) as error:
        hint = '`device="cpu"` works everywhere'
        raise UnavailableError(f"device '{name}' is not usable here", hint) from error
    return name


__all__ = ["choose_device"]
