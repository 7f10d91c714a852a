"""A recogniser on disk: a run folder, or the smaller one that is shared; never a pickle."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from ezav.alone import alone, whole_folder
from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import DamagedError, RefusedError
from ezav.manifest import (
    MANIFEST,
    SIGNATURE,
    check,
    files_in,
    read_manifest,
    write_manifest,
)
from ezav.protocol.appearance import Appearance
from ezav.protocol.calibration import Calibration
from ezav.protocol.files import APPEARANCE, CALIBRATION, HEADER, RESULT
from ezav.protocol.run_folder import read_evaluation_file, read_model
from ezav.recognizer.card import model_card
from ezav.recognizer.find import FILES, FROZEN, read_header
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.frozen_folder import read_frozen
from ezav.recognizer.taught import Taught, taught_model
from ezav.recognizer.taught_file import read_taught, remove_others, taught_name, write_taught
from ezav.recognizer.trained import Trained
from ezav.safe_io import atomic_path, write_text
from ezav.small_files import parse_json, read_small

CARD = "README.md"
_Made = TypeVar("_Made", Trained, Frozen)
TEST = "test.safetensors"


def read(folder: Path, device: str = "cpu", import_code: bool = False) -> Trained | Frozen:
    """A run, or what is frozen, from a folder; its method is imported only with `import_code`.

    Args:
        folder: of the run.
        device: where the method goes.
        import_code: import a method of one's own (`docs/concepts/trust.md`).

    Raises:
        EzavError: no run there, a file is missing or damaged, or of another version.
    """
    if (folder / FROZEN).is_file() and not (folder / RESULT).is_file():
        found = read_frozen(folder, device, import_code)
        return with_taught(found, read_taught(folder, found.model))
    header = read_header(folder)
    model, result = read_model(folder, device, import_code=import_code)
    trained = Trained(
        model=model,
        text=ClassEmbeddings.load(folder / "text.safetensors").select(model.classes.names),
        header=header,
        result=result,
        calibration=read_calibration(folder, result.gamma),
        tested=tested if (tested := folder / TEST).is_file() else None,
        appearance=Appearance.read(folder, model.method),
    )
    check(folder, (HEADER, "text.safetensors", CALIBRATION))
    return with_taught(trained, read_taught(folder, model))


def with_taught(trained: _Made, taught: Taught) -> _Made:
    """A run as it was trained, and what it was taught."""
    if taught.empty:
        return trained
    base = trained.model, trained.text
    model, text = taught_model(*base, taught, trained.appearance)
    return replace(trained, model=model, text=text, taught=taught, base=base)


def save(trained: Trained, folder: Path) -> None:
    """Write what a recogniser needs, its card, and nothing that names a training clip.

    A new folder appears in one step; into one that holds something, file by file.

    Raises:
        EzavError: it cannot be written, or another process is writing it.
    """
    with alone(folder), whole_folder(folder) as place:
        _write(trained, place)


def _write(trained: Trained, folder: Path) -> None:
    from safetensors.torch import save_file

    (folder / FROZEN).unlink(missing_ok=True)
    model, text = trained.base or (trained.model, trained.text)
    with atomic_path(folder / "weights.safetensors") as path:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in model.method.state_dict().items()},
            path,
            {"dims": json.dumps(asdict(model.method.dims))},
        )
    model.classes.save(folder / "class_embeddings.safetensors")
    text.save(folder / "text.safetensors")
    write_text(folder / HEADER, trained.header.model_dump_json(indent=2) + "\n")
    calibration = json.dumps(trained.calibration.as_dict(), indent=2, allow_nan=False)
    write_text(folder / CALIBRATION, calibration + "\n")
    write_text(folder / RESULT, trained.result.model_dump_json(indent=2) + "\n")
    # Always: the card of another run would tell its numbers as this one's.
    write_text(folder / CARD, str(model_card(trained)))
    if trained.appearance is None:
        (folder / APPEARANCE).unlink(missing_ok=True)
    else:
        trained.appearance.save(folder)
    kept = [name for name in (*FILES, CARD) if name not in (MANIFEST, SIGNATURE)]
    name = "" if trained.taught.empty else write_taught(trained.taught, folder)
    write_manifest(folder, [*kept, *([name] if name else [])])
    remove_others(folder, name)


def save_taught(trained: Trained | Frozen, folder: Path) -> str:
    """Write what was taught into the folder that the run was read from; all else stays.

    A signature over it goes: it was of the run as it was.

    Returns:
        The name of the file; empty where nothing is taught.

    Raises:
        RefusedError: it was taught by another since it was read.
        UnavailableError: it cannot be written, or another process is writing it.
    """
    with to_teach(folder):
        if taught_name(folder) != trained.taught.kept_in:
            raise RefusedError(
                f"'{folder}' was taught meanwhile by another", "load it again, and teach that"
            )
        return _replace_taught(trained, folder)


def to_teach(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from teaching the recogniser of a folder while a block runs.

    Raises:
        UnavailableError: another one does.
    """
    return alone(folder / "taught", folder)


def _replace_taught(trained: Trained | Frozen, folder: Path) -> str:
    before = read_manifest(folder)
    names = set(files_in(folder)) if before is None else set(before)
    names.discard(taught_name(folder))
    name = "" if trained.taught.empty else write_taught(trained.taught, folder)
    if CARD in names and isinstance(trained, Trained):
        write_text(folder / CARD, str(model_card(trained)))
    write_manifest(folder, [*names, *([name] if name else [])])
    remove_others(folder, name)
    return name


def read_calibration(folder: Path, gamma: float) -> Calibration:
    """What a run learned on validation; of one of before what its scores teach.

    Raises:
        DamagedError: a file cannot be read.
    """
    path = folder / CALIBRATION
    if not path.exists():
        # A run of before. In a shared folder the file is always there: validation scores name the
        # training clips.
        before = read_evaluation_file(folder / "validation.safetensors")
        return Calibration.of_before(before, gamma)
    try:
        return Calibration.of(parse_json(read_small(path)))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DamagedError(f"'{path}' is damaged: {error}", "save the recogniser again") from error
