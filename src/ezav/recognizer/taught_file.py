"""What was taught, as one file of a run folder, which the manifest names by its content.

The file is written first, then the manifest, in one step each: whoever reads meanwhile, or after a
kill, finds all of it or what was there before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ezav.errors import DamagedError
from ezav.manifest import check, read_manifest
from ezav.protocol.evaluation import StageModel
from ezav.recognizer.taught import Lesson, Taught
from ezav.safe_io import atomic_path
from ezav.small_files import parse_json

_NAME = re.compile(r"taught-[0-9a-f]{16}\.safetensors")
_FORMAT = "ezav taught 1"
PATTERN = "taught-*.safetensors"
"""What the file is called; the star is a digest of its content."""


def taught_name(folder: Path) -> str:
    """The file that the folder's manifest names; empty where nothing was taught.

    Raises:
        DamagedError: the manifest names two.

    Example:
        >>> taught_name(Path("no/such/folder"))
        ''
    """
    found = [name for name in read_manifest(folder) or {} if _NAME.fullmatch(name)]
    if len(found) > 1:
        raise DamagedError(f"'{folder}' holds two files of what it was taught", "get it again")
    return found[0] if found else ""


def write_taught(taught: Taught, folder: Path) -> str:
    """Write the file beside whatever is there; its name.

    Raises:
        UnavailableError: it cannot be written.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    lessons = []
    for at, one in enumerate(taught.lessons):
        tensors[f"{at}.vector"], tensors[f"{at}.text"] = one.vector, one.text
        tensors |= {f"{at}.clips.{part}": clips for part, clips in enumerate(one.clips)}
        lessons.append({"name": one.name, "known": one.known, "parts": len(one.clips)})
    said = {
        "format": _FORMAT,
        "lessons": lessons,
        "forgotten": list(taught.forgotten),
        "renamed": dict(taught.renamed),
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = save(plain, {"taught": json.dumps(said)})
    name = f"taught-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    with atomic_path(folder / name) as temporary:
        temporary.write_bytes(data)
    return name


def read_taught(folder: Path, model: StageModel) -> Taught:
    """What a folder's recogniser was taught; nothing where it was not.

    Args:
        folder: of the recogniser.
        model: what was trained.

    Raises:
        DamagedError: the file is not what was written, or does not fit the model.
    """
    name = taught_name(folder)
    if not name:
        return Taught()
    from safetensors import SafetensorError, safe_open

    path = folder / name
    if not path.is_file():
        raise DamagedError(f"'{folder}' lacks '{name}'", "get the folder again")
    check(folder, (name,))
    try:
        with safe_open(path, framework="pt") as file:
            said = parse_json((file.metadata() or {})["taught"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return replace(_parsed(said, tensors, model), kept_in=name)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DamagedError(f"'{path}' is damaged: {error}", "get the folder again") from error


def _parsed(said: Any, tensors: Mapping[str, Tensor], model: StageModel) -> Taught:
    if said["format"] != _FORMAT:
        raise ValueError(f"it is of the format '{said['format']}'")
    for key, one in tensors.items():
        if not one.is_floating_point() or not bool(one.isfinite().all()):
            raise ValueError(f"'{key}' is not finite")
    lessons = []
    for at, one in enumerate(said["lessons"]):
        clips = tuple(tensors[f"{at}.clips.{part}"].float() for part in range(int(one["parts"])))
        vector, text = tensors[f"{at}.vector"].float(), tensors[f"{at}.text"].float()
        if vector.shape != model.classes.vectors.shape[1:] or text.ndim != 1 or not clips:
            raise ValueError(f"class {at + 1} is of another space")
        if any(part.ndim != 2 or len(part) != len(clips[0]) or not len(part) for part in clips):
            raise ValueError(f"the clips of class {at + 1} do not fit together")
        lesson = Lesson(
            name=str(one["name"]), vector=vector, text=text, clips=clips, known=bool(one["known"])
        )
        lessons.append(lesson)
    shapes = {tuple(part.shape[1] for part in one.clips) for one in lessons}
    if len(shapes) > 1:
        raise ValueError("its classes are shown in several spaces")
    return Taught(
        lessons=tuple(lessons),
        forgotten=tuple(map(str, said["forgotten"])),
        renamed={str(old): str(new) for old, new in said["renamed"].items()},
    )


def remove_others(folder: Path, name: str) -> None:
    """Remove files of what was taught earlier, which no manifest names any more."""
    for path in folder.glob(PATTERN):
        if path.name != name and _NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
