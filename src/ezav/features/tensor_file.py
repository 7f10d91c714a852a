"""Writing tensors straight from memory into a safetensors file.

The library's own writer copies every tensor once and holds Python's lock while it writes; a
store is written while the next features are read, so both cost. Reading is the library's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ezav.safe_io import open_for_writing

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}
_ALIGNMENT = 8


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors (float32, float16 or int64, on the CPU) and text about them.

    Raises:
        OSError: the file cannot be written.
        KeyError: a tensor of another type.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import load_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_safetensors(Path(folder) / "a", {"x": torch.ones(2, 1)}, {"by": "me"})
        ...     load_file(Path(folder) / "a")
        {'x': tensor([[1.],
                [1.]])}
    """
    head: dict[str, object] = {"__metadata__": dict(metadata)}
    parts: list[memoryview] = []
    place = 0
    # The widest types first: every tensor then begins at a multiple of its element's size.
    for name in sorted(tensors, key=lambda name: -tensors[name].element_size()):
        tensor = tensors[name].contiguous()
        size = tensor.numel() * tensor.element_size()
        head[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        place += size
        parts.append(tensor.numpy().reshape(-1).view("u1").data)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    handle = open_for_writing(path)
    try:
        os.ftruncate(handle, 0)
        for part in (memoryview(len(text).to_bytes(8, "little") + text), *parts):
            while part:
                part = part[os.write(handle, part) :]
    finally:
        os.close(handle)
