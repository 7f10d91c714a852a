"""A training state on disk: tensors in safetensors, the rest as JSON in its metadata. No pickle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ezav.errors import DamagedError, EzavError
from ezav.safe_io import atomic_path
from ezav.small_files import parse_json


def save_tree(path: str | Path, tree: Any) -> None:
    """Write nested dicts, lists, tensors, numbers, text and None in one step.

    Raises:
        EzavError: the file cannot be written.

    Example:
        >>> import tempfile, torch
        >>> tree = {"a": [torch.ones(2), None], 3: {"b": 0.5}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_tree(f"{folder}/state", tree)
        ...     load_tree(f"{folder}/state")
        {'a': [tensor([1., 1.]), None], 3: {'b': 0.5}}
    """
    tensors: dict[str, Tensor] = {}
    shape = json.dumps(_flatten(tree, tensors))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"tree": shape})


def load_tree(path: str | Path) -> Any:
    """Read what :func:`save_tree` wrote.

    Raises:
        EzavError: the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shape = parse_json((file.metadata() or {})["tree"])
            return _build(shape, file.get_tensor)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str | Path, why: object) -> EzavError:
    return DamagedError(f"cannot read the checkpoint '{path}': {why}", "remove it to start anew")


def _flatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory.
        tensors[name] = node.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(node, dict):  # as pairs: JSON would turn number keys into text
        return {"pairs": [[key, _flatten(value, tensors)] for key, value in node.items()]}
    if isinstance(node, (list, tuple)):
        return [_flatten(value, tensors) for value in node]
    return node


def _build(node: Any, get_tensor: Callable[[str], Tensor]) -> Any:
    if isinstance(node, list):
        return [_build(value, get_tensor) for value in node]
    if isinstance(node, dict):
        if "tensor" in node:
            return get_tensor(node["tensor"])
        return {key: _build(value, get_tensor) for key, value in node["pairs"]}
    return node


class Checkpoint:
    """Where a long training leaves its state, at most every few seconds.

    Args:
        path: the file; None keeps nothing.
        key: what the state belongs to; a file of another key is ignored.
        seconds: the shortest time between two writes.
    """

    def __init__(self, path: str | Path | None, key: str, seconds: float = 10.0) -> None:
        self.path = None if path is None else Path(path)
        self.key = key
        self.seconds = seconds
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The last state, or None: no file, or one of another run."""
        if self.path is None or not self.path.is_file():
            return None
        tree = load_tree(self.path)
        if not isinstance(tree, dict) or not isinstance(tree.get("state"), dict):
            raise _damaged(self.path, "it holds no state")
        state: dict[str, Any] = tree["state"]
        return state if tree.get("key") == self.key else None

    def save(self, make_state: Any) -> None:
        """Write `make_state()` if it is time to."""
        if self.path is None:
            return
        if time.monotonic() - self._written >= self.seconds:
            save_tree(self.path, {"key": self.key, "state": make_state()})
            self._written = time.monotonic()
