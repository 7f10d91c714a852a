"""A frozen recogniser on disk: which encoders, which names, what was calibrated; JSON only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ezav.alone import alone, whole_folder
from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.base import Kind
from ezav.encoders.spec import EncoderSpec
from ezav.errors import DamagedError, EzavError, RefusedError
from ezav.manifest import check, write_manifest
from ezav.protocol.calibration import Calibration
from ezav.protocol.files import CALIBRATION, HEADER
from ezav.recognizer.encoders import RunEncoders
from ezav.recognizer.find import FROZEN, read_header
from ezav.recognizer.frozen import Frozen, frozen
from ezav.recognizer.names import Names, asked, read_names
from ezav.recognizer.taught_file import remove_others, write_taught
from ezav.safe_io import write_text
from ezav.small_files import parse_json, read_small


class _Told(BaseModel):
    """What `frozen.json` says; the encoders of media are in the header."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=1, ge=1, le=1)
    text: str
    """The text encoders with their revisions."""
    text_settings: dict[str, Any]
    """How they read names: identity, templates, options."""
    dimension: int = Field(gt=0)
    unused: dict[str, str] = Field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The candidates where none are asked for, with the descriptions behind them."""


def save_frozen(given: Frozen, folder: Path) -> None:
    """Write what makes the same recogniser again where its encoders are: no weights, no clips.

    Raises:
        EzavError: the folder cannot be written.
    """
    told = _Told(
        text=given.text.encoder,
        text_settings=dict(given.text.settings),
        dimension=given.text.dim,
        unused=given.unused,
        names={name: tuple(lines) for name, lines in given.names.items()},
    )
    with alone(folder), whole_folder(folder) as place:
        _write(given, told, place)


def _write(given: Frozen, told: _Told, folder: Path) -> None:
    write_text(folder / FROZEN, told.model_dump_json(indent=2) + "\n")
    write_text(folder / HEADER, given.header.model_dump_json(indent=2) + "\n")
    learned = json.dumps(given.calibration.as_dict(), indent=2, allow_nan=False)
    write_text(folder / CALIBRATION, learned + "\n")
    name = "" if given.taught.empty else write_taught(given.taught, folder)
    write_manifest(folder, [FROZEN, HEADER, CALIBRATION, *([name] if name else [])])
    remove_others(folder, name)


def read_frozen(folder: Path, device: str = "cpu", import_code: bool = False) -> Frozen:
    """The recogniser that :func:`save_frozen` wrote, with the encoders that are here.

    Raises:
        DamagedError: a file is missing or damaged, or not what was written.
        RefusedError: an encoder would have to be imported, and `import_code` is not given.
        UnavailableError: an encoder is not available, or is another than the one recorded.
    """
    check(folder, (FROZEN, HEADER, CALIBRATION))
    header = read_header(folder)
    try:
        told = _Told.model_validate(parse_json(read_small(folder / FROZEN)))
        calibration = Calibration.of(parse_json(read_small(folder / CALIBRATION)))
        names = named(told.names)
        text = ClassEmbeddings.none(told.dimension, told.text, told.text_settings)
    except (OSError, ValidationError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise _damaged(folder, error) from error
    kinds: tuple[Kind, ...] = tuple(e.modality for e in header.encoders if e.modality != "text")
    recorded = RunEncoders(header, text, import_code, device, kinds)
    try:
        specs = {kind: _spec(recorded, kind) for kind in kinds}
        texts = [_spec(recorded, "text", number) for number in range(len(text.parts))]
        if not kinds:
            raise ValueError("it names no encoder")
    except ValueError as error:
        raise _damaged(folder, error) from error
    for spec in (*specs.values(), *texts):
        if ":" in spec.name and not import_code:
            raise RefusedError(
                f"refused to import '{spec.name}', which '{folder}' names",
                "`import_code=True` if you trust it",
            )
    made = frozen(specs.get("visual"), specs.get("audio"), texts, device, kinds)
    for one in made.header.encoders:
        recorded.check_same(one.modality, one.revision, one.identity)
    recorded.texts  # noqa: B018, raises where another encoder is here
    return replace(made, calibration=calibration, unused=told.unused, names=names)


def named(classes: Names) -> dict[str, tuple[str, ...]]:
    """Names as given to a recogniser, with the descriptions behind them.

    Raises:
        EzavError: a bad list of names.

    Example:
        >>> named(["a dog: a dog that barks", "rain"])
        {'a dog': ('a dog that barks',), 'rain': ()}
    """
    if not classes:
        return {}
    names, behind = asked(classes)
    read_names(names, (), behind)  # raises: no names
    return {name: tuple(behind.get(name, ())) for name in names}


def _spec(recorded: RunEncoders, kind: Kind, number: int = 0) -> EncoderSpec:
    return recorded.spec(kind, recorded.recorded_texts()[number] if kind == "text" else None)


def _damaged(folder: Path, error: Exception) -> EzavError:
    first = str(error).splitlines()[0]
    return DamagedError(f"'{folder / FROZEN}' is damaged: {first}", "save the recogniser again")
