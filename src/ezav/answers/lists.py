"""Several lists of names, each with a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ezav.errors import EzavError
from ezav.naming import clean
from ezav.recognizer.names import Names
from ezav.small_files import parse_yaml, read_small

RUN = "run"
"""What the run's own classes are called as a list."""
Lists = Mapping[str, Names | None]
"""Name of the list -> candidates; None: all classes of the run."""


def read_lists(file: str | Path) -> dict[str, Names]:
    """The lists of a YAML or JSON file: name of the list -> names, or name -> descriptions.

    Raises:
        EzavError: it cannot be read, or is something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "lists.yaml").write_text("pets: [a dog, a cat]\\nweather: [rain]")
        ...     read_lists(f"{folder}/lists.yaml")
        {'pets': ['a dog', 'a cat'], 'weather': ['rain']}
    """
    try:
        found = parse_yaml(read_small(file))
    except ValueError as error:
        raise EzavError(f"'{file}' cannot be read: {error}", _HINT) from error
    if not isinstance(found, dict) or not found:
        raise EzavError(f"'{file}' holds no lists of names", _HINT)
    lists: dict[str, Names] = {}
    for title, names in found.items():
        name = clean(str(title))
        if not isinstance(names, list | dict) or not names:
            raise EzavError(f"the list '{name}' of '{file}' holds no names", _HINT)
        if isinstance(names, dict):
            lists[name] = {str(one): _lines(behind) for one, behind in names.items()}
        else:
            lists[name] = [str(one) for one in names]
    return lists


def _lines(behind: object) -> list[str]:
    several = behind if isinstance(behind, list) else [] if behind is None else [behind]
    return [str(line) for line in several]


_HINT = "write 'list: [name, name]', one list a line"
