"""Class names and their vectors: one typed pair that is saved, loaded and passed around."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ezav.data_pickle import load_data_npy
from ezav.errors import DamagedError, EzavError, NotFoundError
from ezav.naming import clean, refuse_twins, shown
from ezav.safe_io import atomic_path
from ezav.small_files import parse_json

_FORMAT = "ezav-class-embeddings-1"
_KEY = "vectors"
# Rows this close to unit length are kept bit for bit, so that saving and loading changes nothing.
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ClassEmbeddings:
    """C class names and one unit vector for each.

    Rows are scaled to unit length (class embeddings are compared by angle); everything else that
    is wrong with them is an error.

    Attributes:
        names: C different, non-empty names.
        vectors: float32 `[C, d]`, unit rows.
        encoder: name and revision of the text encoder, or where the vectors came from.
        settings: how the vectors were made, JSON-ready (empty for raw text embeddings).

    Raises:
        EzavError: names repeat (also as "Dog" and "dog") or are empty; names and rows do not match
            in number; a vector is zero or not finite.

    Example:
        >>> import torch
        >>> classes = ClassEmbeddings(("dog", "cat"), torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        >>> classes.select(["cat"]).vectors.tolist(), len(classes), classes.dim
        ([[0.0, 1.0]], 2, 2)
    """

    names: tuple[str, ...]
    vectors: Tensor
    encoder: str = "unknown"
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _checked_names(self.names))
        object.__setattr__(self, "vectors", unit_rows(self.vectors, self.names))

    @classmethod
    def from_mapping(cls, vectors: Mapping[str, Any], encoder: str = "unknown") -> ClassEmbeddings:
        """From `{name: vector}`, in the mapping's order.

        Raises:
            EzavError: the mapping is empty, vectors differ in length, or are not numbers.
        """
        rows: list[np.ndarray] = []
        for name, vector in vectors.items():
            try:
                row = np.asarray(vector, dtype=np.float64).reshape(-1)
            except (TypeError, ValueError) as error:
                raise EzavError(f"the vector of class '{name}' is not made of numbers") from error
            if rows and len(row) != len(rows[0]):
                raise EzavError(
                    f"the vector of class '{name}' has {len(row)} numbers, the first class's has "
                    f"{len(rows[0])}",
                    "give all classes vectors of one text encoder",
                )
            rows.append(row)
        if not rows:
            raise EzavError("no class embeddings: the mapping is empty")
        return cls(tuple(map(str, vectors)), torch.from_numpy(np.stack(rows)), encoder)

    @classmethod
    def none(
        cls, dim: int, encoder: str = "unknown", settings: dict[str, Any] | None = None
    ) -> ClassEmbeddings:
        """No class at all, in the space of an encoder: a recogniser that has only the names that
        are typed.

        Example:
            >>> ClassEmbeddings.none(384).vectors.shape
            torch.Size([0, 384])
        """
        made = object.__new__(cls)  # the checks are about classes that there are
        values = {"names": (), "vectors": torch.zeros(0, dim), "encoder": encoder}
        for name, value in {**values, "settings": settings or {}}.items():
            object.__setattr__(made, name, value)
        return made

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """The embedding dimension d."""
        return self.vectors.shape[1]

    def select(self, names: Sequence[str]) -> ClassEmbeddings:
        """The embeddings of these names, in this order.

        Raises:
            EzavError: a name is not among the classes (the message suggests the closest ones).
        """
        if not len(self) and not len(names):
            return self  # :meth:`none`
        row = {name: index for index, name in enumerate(self.names)}
        for name in names:
            if name not in row:
                raise NotFoundError(f"no class named '{name}'", _suggestion(name, self.names))
        index = torch.tensor([row[name] for name in names], dtype=torch.long)
        return replace(self, names=tuple(names), vectors=self.vectors[index])

    def with_vectors(self, vectors: Tensor, **settings: Any) -> ClassEmbeddings:
        """The same names with other vectors; `settings` are added to the record."""
        return replace(self, vectors=vectors, settings={**self.settings, **settings})

    def concatenate(self, other: ClassEmbeddings) -> ClassEmbeddings:
        """Each class's two vectors side by side `[C, d + d']`, as ClipClap joins CLIP and CLAP.

        Raises:
            EzavError: the two do not have the same names.
        """
        if set(other.names) != set(self.names):
            odd = sorted(set(self.names) ^ set(other.names))[0]
            raise EzavError(
                f"cannot join class embeddings: '{odd}' is in only one of the two",
                "both must have the same class names",
            )
        joined = torch.cat([self.vectors, other.select(self.names).vectors], dim=1)
        return replace(
            self,
            vectors=joined,
            encoder=f"{self.encoder} + {other.encoder}",
            settings={"joined": [*self.parts, *other.parts]},
        )

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The settings of each text that is joined in these; of one text its own alone."""
        joined = self.settings.get("joined")
        if isinstance(joined, list) and all(isinstance(one, dict) for one in joined):
            return list(joined)
        return [self.settings]

    def to(self, device: torch.device | str) -> ClassEmbeddings:
        """The same embeddings on another device."""
        return replace(self, vectors=self.vectors.to(device))

    def save(self, path: str | Path) -> None:
        """Write a `.safetensors` file; names, encoder and settings go into its metadata.

        Raises:
            EzavError: the name ends otherwise, or the folder cannot be written.
        """
        from safetensors.torch import save_file

        check_suffix(path)
        record = {
            "format": _FORMAT,
            "names": json.dumps(self.names, ensure_ascii=False),
            "encoder": self.encoder,
            "settings": json.dumps(self.settings, ensure_ascii=False),
        }
        with atomic_path(path) as temporary:
            save_file({_KEY: self.vectors.detach().cpu().contiguous()}, temporary, record)

    @classmethod
    def load(cls, path: str | Path) -> ClassEmbeddings:
        """Read a `.safetensors` file written by :meth:`save`, or a published `.npy` dictionary.

        A `.npy` file holds a pickled `{class name: vector}`; it goes through the restricted
        reader, which runs no code.

        Raises:
            EzavError: the file is missing, damaged, or holds something else.
        """
        path = Path(path)
        if path.suffix == ".npy":
            data = load_data_npy(path)
            if not isinstance(data, dict):
                raise DamagedError(
                    f"'{path}' holds a {type(data).__name__}, not a dictionary of class vectors",
                    "a published text embedding file maps class names to vectors",
                )
            return cls.from_mapping(data, encoder=f"file {path.name}")
        return _load_safetensors(path)


def check_suffix(path: str | Path) -> None:
    """Say before the work whether class embeddings can be saved under a name.

    Raises:
        EzavError: it does not end in .safetensors.

    Example:
        >>> check_suffix("w.npy")
        Traceback (most recent call last):
        ezav.errors.EzavError: cannot write class embeddings as 'w.npy'; end its name in ...
    """
    if Path(path).suffix != ".safetensors":
        hint = "end its name in .safetensors"
        raise EzavError(f"cannot write class embeddings as '{path}'", hint)


def _load_safetensors(path: Path) -> ClassEmbeddings:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise NotFoundError(f"no class embeddings file at '{path}'")
    try:
        with safe_open(path, framework="pt") as file:
            record = file.metadata() or {}
            if record.get("format") != _FORMAT:
                raise DamagedError(
                    f"'{path}' is a safetensors file but not class embeddings",
                    "write one with ClassEmbeddings.save",
                )
            vectors = file.get_tensor(_KEY)
        names = tuple(parse_json(record["names"]))
        settings = parse_json(record["settings"])
        if not isinstance(settings, dict):
            raise ValueError("its settings are none")
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise DamagedError(f"'{path}' cannot be read as class embeddings: {error}") from error
    return ClassEmbeddings(names, vectors, record.get("encoder", "unknown"), settings)


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise EzavError(f"class names must be a list, not the text '{names}'")
    names = tuple(names)
    for position, name in enumerate(names):
        if not isinstance(name, str) or not clean(name):
            raise EzavError(
                f"class {position + 1} of {len(names)} has no name", "every class needs a name"
            )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise EzavError(f"the class name '{shown(repeated[0])}' occurs twice", "names must differ")
    refuse_twins(names)
    return names


def unit_rows(vectors: Tensor, names: Sequence[str] | None = None) -> Tensor:
    """Check vectors `[C, d]` and scale their rows to unit length, float32.

    Rows already of unit length to within 1e-6 are left as they are, bit for bit.

    Raises:
        EzavError: not `[C, d]`, no rows, a row that is zero or not finite (its class is named),
            or a number of rows other than the number of names.

    Example:
        >>> import torch
        >>> unit_rows(torch.tensor([[0.0, 2.0]])).tolist()
        [[0.0, 1.0]]
    """
    if not isinstance(vectors, Tensor) or vectors.dim() != 2:
        found = tuple(getattr(vectors, "shape", ()))
        raise EzavError(
            f"class embeddings must be a tensor [classes, dimension], not {found}",
            "give one row for each class",
        )
    if names is not None and len(names) != len(vectors):
        raise EzavError(f"{len(names)} class names but {len(vectors)} vectors", "they must match")
    if vectors.shape[0] == 0 or vectors.shape[1] == 0:
        raise EzavError("there are no class embeddings", "give at least one class")
    exact = vectors.detach().double()
    # Dividing by the largest entry first keeps tiny and huge vectors from under- or overflowing.
    largest = exact.abs().amax(dim=1, keepdim=True)
    for bad, word in ((~torch.isfinite(largest), "not finite"), (largest == 0, "zero")):
        if bad.any():
            row = int(bad.flatten().nonzero()[0])
            label = f"class '{names[row]}'" if names is not None else f"row {row}"
            raise EzavError(
                f"the vector of {label} is {word}",
                "the text encoder gave no meaning for it: rename or drop the class",
            )
    norm = (exact / largest).norm(dim=1, keepdim=True) * largest
    keep = ((norm - 1).abs() <= _UNIT_TOLERANCE) & (vectors.dtype == torch.float32)
    scaled = (exact / largest / (norm / largest)).float()
    return torch.where(keep, vectors.detach().float(), scaled)


def _suggestion(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    lowered = {other.lower(): other for other in known}
    close = [lowered[key] for key in get_close_matches(name.lower(), list(lowered), n=3)]
    if close:
        return "did you mean " + " or ".join(f"'{other}'" for other in close) + "?"
    return f"the {len(known)} classes begin with '{known[0]}'"
