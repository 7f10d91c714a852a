"""A recogniser on disk: a run folder, or the smaller one that is shared; never a pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError
from ezav.features.header import parse_header
from ezav.protocol.result import RESULT
from ezav.protocol.run_folder import read_evaluation_file, read_model
from ezav.recognizer.calibration import Calibration
from ezav.recognizer.card import model_card
from ezav.recognizer.trained import Trained
from ezav.safe_io import atomic_path, write_text

CALIBRATION = "calibration.json"
"""In a shared folder it stands for the validation scores, which name the training clips."""
CARD = "README.md"
FILES = (
    RESULT,
    "weights.safetensors",
    "class_embeddings.safetensors",
    "text.safetensors",
    "store.json",
    CALIBRATION,
)
"""All that a recogniser is read from: data only."""


def find(run: str | Path, **options: Any) -> Path:
    """The folder of a run by its path or hub id.

    Raises:
        EzavError: there is none, no access or network.
    """
    folder = Path(run).expanduser()
    if folder.is_dir():
        return folder
    if is_hub_id(run):
        return download(str(run), **options)
    raise EzavError(f"no run at '{run}'", "'ezav run' writes one; a hub id is 'owner/name'")


def read(folder: Path, device: str = "cpu", import_code: bool = False) -> Trained:
    """A trained run from a folder; its method is imported only with `import_code`.

    Raises:
        EzavError: no run there, a file is missing or damaged, or of another version.
    """
    if not (folder / RESULT).is_file():
        raise EzavError(f"no run at '{folder}' (no {RESULT})", _look_inside(folder))
    model, result = read_model(folder, device, import_code=import_code)
    header_path = folder / "store.json"
    try:
        header = parse_header(header_path.read_text(encoding="utf-8"), header_path)
    except OSError as error:
        raise EzavError(f"cannot read '{header_path}': {error.strerror}", "run it again") from error
    return Trained(
        model=model,
        text=ClassEmbeddings.load(folder / "text.safetensors").select(model.classes.names),
        header=header,
        result=result,
        calibration=_calibration(folder, result.gamma),
    )


def save(trained: Trained, folder: Path) -> None:
    """Write what a recogniser needs, its card, and nothing that names a training clip."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model = trained.model
    with atomic_path(folder / "weights.safetensors") as path:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in model.method.state_dict().items()},
            path,
            {"dims": json.dumps(asdict(model.method.dims))},
        )
    model.classes.save(folder / "class_embeddings.safetensors")
    trained.text.save(folder / "text.safetensors")
    write_text(folder / "store.json", trained.header.model_dump_json(indent=2) + "\n")
    calibration = json.dumps(trained.calibration.as_dict(), indent=2, allow_nan=False)
    write_text(folder / CALIBRATION, calibration + "\n")
    write_text(folder / RESULT, trained.result.model_dump_json(indent=2) + "\n")
    # Always: the card of another run would tell its numbers as this one's.
    write_text(folder / CARD, str(model_card(trained)))


def download(model_id: str, **options: Any) -> Path:
    """The files of a shared recogniser in the hub's cache; only those of `FILES` are fetched.

    Raises:
        EzavError: no such repository, no access, or no network.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_id, allow_patterns=list(FILES), **options))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EzavError(
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
    from huggingface_hub.utils import validate_repo_id

    if not isinstance(text, str) or text.count("/") != 1 or Path(text.split("/")[0]).is_dir():
        return False
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return not text.startswith((".", "~"))


def _calibration(folder: Path, gamma: float) -> Calibration:
    path = folder / CALIBRATION
    if not path.exists():
        return Calibration.fit(read_evaluation_file(folder / "validation.safetensors"), gamma)
    try:
        return Calibration.of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise EzavError(f"'{path}' is damaged: {error}", "save the recogniser again") from error


def _look_inside(folder: Path) -> str:
    """With several seeds `ezav run` writes a folder of runs: say so."""
    try:
        inside = sorted(e.name for e in os.scandir(folder) if (Path(e.path) / RESULT).is_file())
    except OSError:
        inside = []
    return f"did you mean '{folder / inside[0]}'?" if inside else "'ezav run' writes one"
