"""Where a run is: a folder here, or one that is fetched from the hub. Light: nothing is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ezav.errors import DamagedError, NotFoundError, UnavailableError
from ezav.features.header import Header, parse_header
from ezav.manifest import MANIFEST, SIGNATURE
from ezav.protocol.files import APPEARANCE, CALIBRATION, HEADER, RESULT
from ezav.recognizer.packed import is_packed, unpacked

FROZEN = "frozen.json"
"""Instead of a result: nothing was trained."""
FILES = (
    RESULT,
    "weights.safetensors",
    "class_embeddings.safetensors",
    "text.safetensors",
    HEADER,
    CALIBRATION,
    APPEARANCE,
    "taught-*.safetensors",
    MANIFEST,
    SIGNATURE,
)
"""All that a recogniser is read from: data only."""


def find(run: str | Path, **options: Any) -> Path:
    """The folder of a run by its path or hub id; a download lies in the hub's cache.

    A ZIP file of such a folder, as the page gives it, is unpacked until this process ends.

    Args:
        run: the path or id.
        options: of the download (:func:`huggingface_hub.snapshot_download`).

    Raises:
        NotFoundError: there is none.
        UnavailableError: no access or network.

    Example:
        >>> find("no/such/run")
        Traceback (most recent call last):
        ...
        ezav.errors.NotFoundError: no run at 'no/such/run'; ...
    """
    folder = Path(run).expanduser()
    if folder.is_dir():
        return folder
    if is_packed(folder):
        return unpacked(folder, (*FILES, FROZEN, "README.md"), (RESULT, FROZEN))
    if is_hub_id(run):
        return download(str(run), **options)
    raise NotFoundError(f"no run at '{run}'", "'ezav run' writes one; a hub id is 'owner/name'")


def read_header(folder: Path) -> Header:
    """What the run's feature store said about itself.

    Raises:
        NotFoundError: no run there.
        DamagedError: its file is missing or damaged.
    """
    if not is_recognizer(folder):
        raise NotFoundError(f"no run at '{folder}' (no {RESULT})", _look_inside(folder))
    path = folder / HEADER
    try:
        return parse_header(path.read_bytes(), path)
    except OSError as error:
        raise DamagedError(f"cannot read '{path}': {error.strerror}", "run it again") from error


def is_recognizer(folder: Path) -> bool:
    """Whether a run, or a frozen recogniser, lies there.

    Example:
        >>> is_recognizer(Path("no/such/folder"))
        False
    """
    return (folder / RESULT).is_file() or (folder / FROZEN).is_file()


def download(model_id: str, **options: Any) -> Path:
    """The files of a shared recogniser in the hub's cache; only those of `FILES` are fetched.

    Raises:
        UnavailableError: no such repository, no access, or no network.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_id, allow_patterns=[*FILES, FROZEN], **options))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnavailableError(
            f"cannot get '{model_id}' from the hub: {first[:200]}",
            "check the name, the network and your access; a folder on this machine works offline",
        ) from error


def is_hub_id(text: str | Path) -> bool:
    """Two plain words with a slash between, and no such folder here.

    Example:
        >>> is_hub_id("someone/dogs"), is_hub_id("./runs/dogs"), is_hub_id("runs")
        (True, False, False)
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    if not isinstance(text, str) or text.count("/") != 1 or Path(text.split("/")[0]).is_dir():
        return False
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return not text.startswith((".", "~"))


def _look_inside(folder: Path) -> str:
    """With several seeds `ezav run` writes a folder of runs: say so."""
    try:
        inside = sorted(e.name for e in os.scandir(folder) if (Path(e.path) / RESULT).is_file())
    except OSError:
        inside = []
    return f"did you mean '{folder / inside[0]}'?" if inside else "'ezav run' writes one"
