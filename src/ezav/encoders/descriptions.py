"""Descriptions behind a class name: what the text encoder reads in its place."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.csv_rows import as_columns, separator
from ezav.encoders.base import TextEncoder
from ezav.encoders.names import readable_name
from ezav.errors import DamagedError, EzavError, NotFoundError
from ezav.naming import clean, refuse_twins
from ezav.small_files import parse_yaml, read_small_text

if TYPE_CHECKING:
    from torch import Tensor

Descriptions = Mapping[str, Sequence[str]]
"""Class name -> one description or more; a name that is not there is read itself."""
MARK = ": "
"""Between a name and its description where both are typed in one line."""
_AT_ONCE = 1024
"""Texts between two words of progress; an encoder batches them by length."""


def typed(line: str) -> tuple[str, tuple[str, ...]]:
    """A name as it is typed, with the description behind it where there is one.

    Raises:
        EzavError: nothing stands before or behind the colon.

    Example:
        >>> typed("a dog: a dog that barks at the door"), typed("rain")
        (('a dog', ('a dog that barks at the door',)), ('rain', ()))
    """
    name, mark, description = line.strip().partition(MARK)
    if not mark:
        if line.strip()[-1:] == ":":
            raise EzavError(f"'{line.strip()[:60]}' has a colon and no description behind it")
        return name, ()
    if not name.strip() or not description.strip():
        raise EzavError(f"'{line.strip()[:60]}' is no 'name: description'")
    return name.strip(), (" ".join(description.split()),)


def read_descriptions(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Class names and their descriptions from a file.

    Args:
        path: a CSV file `name,description[,description…]`, a name in several rows or one row (a
            first row `name,…` is the header; semicolons separate too, and tabs in a `.tsv`); or a
            YAML file `name: description`, or `name: [description, …]`.

    Raises:
        NotFoundError: there is no such file.
        DamagedError: it is no text, or of another form; the place is told.
        EzavError: two names of what must be one class.
    """
    path = Path(path).expanduser()
    try:
        text = read_small_text(path)
    except NotFoundError as error:
        raise NotFoundError(f"there is no file of descriptions '{path}'") from error
    if path.suffix.lower() in {".yaml", ".yml"}:
        rows = _yaml_rows(text, path)
    elif path.suffix.lower() in {".csv", ".tsv"}:
        rows = _csv_rows(text, path)
    else:
        raise DamagedError(
            f"'{path}' is no file of descriptions", "its name ends in .csv, .tsv or .yaml"
        )
    found: dict[str, list[str]] = {}
    for name, lines in rows:
        found.setdefault(name, []).extend(lines)
    if not found:
        raise DamagedError(f"'{path}' holds no descriptions")
    refuse_twins(found)
    return {name: tuple(dict.fromkeys(lines)) for name, lines in found.items()}


def check_known(descriptions: Descriptions, names: Iterable[str], source: str = "") -> None:
    """Refuse descriptions that do not fit the class names: one line says which names.

    Args:
        descriptions: of a file.
        names: the class names, all of which it should describe.
        source: what the message calls the descriptions.

    Raises:
        EzavError: a name has no description, or a description's name is no class.

    Example:
        >>> check_known({"dog": ("a dog",)}, ["dog", "cat"], "'d.csv'")
        Traceback (most recent call last):
        ezav.errors.EzavError: 'd.csv' does not fit the class names: no description of 'cat'
    """
    names = list(names)
    lacking = [name for name in names if name not in descriptions]
    strange = [name for name in descriptions if name not in set(names)]
    if not lacking and not strange:
        return
    parts = []
    if lacking:
        parts.append(f"no description of {_some(lacking)}")
    if strange:
        parts.append(f"{_some(strange)} {'are' if len(strange) > 1 else 'is'} no class")
    raise EzavError(f"{source or 'the file'} does not fit the class names: {'; '.join(parts)}")


def encode_described(
    encoder: TextEncoder,
    names: Sequence[str],
    descriptions: Descriptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Class vectors, unit rows float32 `[C, d]`: of the names, or of what is behind them.

    Several descriptions are averaged as unit vectors. A name without one is read itself, split
    into words (:func:`ezav.encoders.names.readable_name`).

    Args:
        on_progress: told as (texts done, all).

    Raises:
        EzavError: no names, or an empty text.

    Example:
        >>> from ezav.encoders.registry import load_text
        >>> text = load_text("minilm")
        >>> two = encode_described(text, ["dog"], {"dog": ["a dog barks", "a puppy"]})
        >>> alone = text.encode(["a dog barks", "a puppy"]).mean(dim=0)
        >>> bool(((two[0] - alone / alone.norm()).abs() < 1e-6).all())
        True
    """
    import torch
    from torch.nn.functional import normalize

    behind = [tuple((descriptions or {}).get(name, ())) or (readable_name(name),) for name in names]
    lines = list(dict.fromkeys(line for several in behind for line in several))
    parts = []
    for start in range(0, max(1, len(lines)), _AT_ONCE):
        parts.append(encoder.encode(lines[start : start + _AT_ONCE]))
        if on_progress is not None:
            on_progress(min(start + _AT_ONCE, len(lines)), len(lines))
    row = {line: place for place, line in enumerate(lines)}
    vectors = torch.cat(parts)
    if all(len(several) == 1 for several in behind):
        return vectors[[row[line] for (line,) in behind]]  # bit for bit what the encoder gave
    means = [vectors[[row[line] for line in several]].mean(dim=0) for several in behind]
    return normalize(torch.stack(means), dim=1)


def _yaml_rows(text: str, path: Path) -> list[tuple[str, list[str]]]:
    try:
        content: Any = parse_yaml(text)
    except ValueError as error:
        raise DamagedError(f"'{path}' is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise DamagedError(f"'{path}' does not map names to descriptions")
    rows = []
    for name, lines in content.items():
        several = lines if isinstance(lines, list) else [lines]
        if not isinstance(name, str) or not all(isinstance(line, str) for line in several):
            raise DamagedError(f"'{path}': '{name}' has something else than text behind it")
        rows.append((clean(name), _kept(several, f"'{path}': '{name}'")))
    return rows


def _csv_rows(text: str, path: Path) -> list[tuple[str, list[str]]]:
    rows = []
    reader = csv.reader(text.splitlines(), delimiter=separator(text.partition("\n")[0], path))
    headline: list[str] | None = None
    for number, row in enumerate(_whole(reader, path), start=1):
        cells = [clean(cell) for cell in row]
        if not any(cells):
            continue
        if number == 1 and as_columns(cells)[0] in {"name", "class"}:
            headline = as_columns(cells)
        if as_columns(cells) == headline:  # also of files that were joined
            continue
        if not cells[0]:
            raise DamagedError(f"'{path}', line {number}: no name before the descriptions")
        rows.append((cells[0], _kept(cells[1:], f"'{path}', line {number}")))
    return rows


def _whole(rows: Iterable[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise DamagedError(f"'{path}' is no table: {error}") from error


def _kept(lines: Sequence[str], place: str) -> list[str]:
    kept = [line for line in map(clean, lines) if line]
    if not kept:
        raise DamagedError(f"{place}: a name without a description")
    return kept


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
