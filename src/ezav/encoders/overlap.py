"""Which classes of a benchmark an encoder has seen in its own training.

A class is unseen for the recogniser, but not for an encoder that was trained on videos with that
label. The names are compared by their words; nothing is guessed where a data set's labels are not
at hand (`labels/` holds those of a few).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ezav.csv_rows import columns_of, csv_rows
from ezav.errors import DamagedError
from ezav.naming import clean
from ezav.small_files import parse_json, read_small_text

_EMPTY = frozenset({"a", "an", "and", "by", "for", "in", "of", "on", "or", "the", "to", "with"})
_VAGUE = frozenset({"do", "doing", "make", "making", "play", "playing", "use", "using"})
_COLUMNS = ("display_name", "name", "label", "class")


@dataclass(frozen=True, slots=True)
class Match:
    """A class and the training label it meets.

    Attributes:
        class_name: of the benchmark.
        label: of the encoder's training data.
        dataset: whose label it is.
        kind: "same" (the same words, up to spelling) or "part" (all words of the shorter of the
            two are in the other: "dog barking" and "Bark").
    """

    class_name: str
    label: str
    kind: Literal["same", "part"]
    dataset: str = ""


def known_labels(dataset: str, *, synonyms: bool = False) -> tuple[str, ...]:
    """The labels of a data set of a card, where this package has them; else empty.

    With `synonyms` each label has all its names, separated by a comma and a space, where they
    are known ("tench, Tinca tinca"). The order is that of the data set's own indices.

    Kinetics-600 and -700 hold nearly all of Kinetics-400's classes, so these are given for them.

    Example:
        >>> len(known_labels("AudioSet")), known_labels("Kinetics-700")[0], known_labels("WebLI")
        (527, 'abseiling', ())
        >>> known_labels("ImageNet-1k", synonyms=True)[0]
        'tench, Tinca tinca'
    """
    name = dataset.casefold()
    name = {"kinetics-600": "kinetics-400", "kinetics-700": "kinetics-400"}.get(name, name)
    folder = resources.files("ezav.encoders").joinpath("labels")
    for ending in (".synonyms.txt", ".txt") if synonyms else (".txt",):
        file = folder.joinpath(f"{name}{ending}")
        if file.is_file():
            return tuple(file.read_text(encoding="utf-8").splitlines())
    return ()


def find_overlap(classes: Sequence[str], labels: Sequence[str], dataset: str = "") -> list[Match]:
    """Every class that meets a label, in the order of the classes; at most one match each.

    Words are compared in lower case and without endings; camel case, underscores and hyphens
    separate words; what stands in brackets is left out. A "part" match needs a word that says
    something ("playing" alone does not). A match is a hint to look at, not a proof.

    Example:
        >>> found = find_overlap(
        ...     ["PlayingGuitar", "dog barking", "sea waves"], ["playing guitar", "Bark", "Speech"]
        ... )
        >>> [(match.class_name, match.label, match.kind) for match in found]
        [('PlayingGuitar', 'playing guitar', 'same'), ('dog barking', 'Bark', 'part')]
    """
    known = [(label, _words(label)) for label in labels]
    letters = {label: _letters(label) for label in labels}
    found = []
    for name in classes:
        words = _words(name)
        same = [label for label, other in known if other == words]
        same += [label for label in labels if letters[label] == _letters(name)]
        part = [label for label, other in known if _within(words, other)]
        if same or part:
            # Of several parts the most specific one.
            best = same[0] if same else max(part, key=lambda label: len(_words(label)))
            found.append(Match(name, best, "same" if same else "part", dataset))
    return found


def read_labels(path: str | Path) -> tuple[str, ...]:
    """The labels of a data set.

    Args:
        path: a text file with a label a line; a CSV file with a column `display_name`, `name`,
            `label` or `class` (as AudioSet's and Kinetics' own lists); a JSON list; or a model
            folder (or its `config.json`) that names its classes.

    Raises:
        EzavError: the file cannot be read, or holds no labels.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     labels = Path(folder, "labels.json")
        ...     _ = labels.write_text('["Bark", "Rain", "Bark"]')
        ...     read_labels(labels)
        ('Bark', 'Rain')
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = path / "config.json"
    text = read_small_text(path)
    if path.suffix == ".json":
        labels = _from_json(text, path)
    elif path.suffix == ".csv":
        labels = _from_csv(path)
    else:
        labels = text.splitlines()
    kept = tuple(dict.fromkeys(label for label in map(clean, labels) if label))
    if not kept:
        raise DamagedError(f"'{path}' holds no labels")
    return kept


def _from_json(text: str, path: Path) -> list[str]:
    try:
        content: Any = parse_json(text)
    except ValueError as error:
        raise DamagedError(f"'{path}' is not JSON: {error}") from error
    if isinstance(content, dict):
        named = content.get("id2label", {})
        content = list(named.values()) if isinstance(named, dict) else None
        if any(re.fullmatch(r"LABEL_\d+", str(label)) for label in content or ()):
            content = []  # placeholders: the model does not name its classes
    if not isinstance(content, list) or not all(isinstance(label, str) for label in content):
        raise DamagedError(f"'{path}' holds neither a list of labels nor id2label")
    return content


def _from_csv(path: Path) -> list[str]:
    known = columns_of(path)
    column = next((c for c in _COLUMNS if c in known), None)
    if column is None:
        raise DamagedError(f"'{path}' has none of the columns {', '.join(_COLUMNS)}")
    return [row[column] for _, row in csv_rows(path, (column,), 1)]


def _letters(name: str) -> str:
    """ActivityNet's lists write "Playingaccordion"."""
    return "".join(re.findall(r"[^\W_]+", name.casefold()))


def _words(name: str) -> frozenset[str]:
    name = re.sub(r"\(.*?\)", " ", name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[^\W_]+", name.casefold().replace("'s", ""))
    return frozenset(_stem(word) for word in found if word not in _EMPTY)


def _stem(word: str) -> str:
    """Crude and symmetric: it only has to bring the forms of one word together."""
    for ending in ("ing", "es", "s", "ed", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    # running -> runn -> run
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl" else word


_VAGUE_STEMS = frozenset(map(_stem, _VAGUE))


def _within(one: frozenset[str], other: frozenset[str]) -> bool:
    common = one & other
    return bool(common - _VAGUE_STEMS) and common in (one, other)
