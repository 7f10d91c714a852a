"""From the names asked for to class embeddings: trained ones kept, new ones extended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.encoders.legible import told_of
from ezav.encoders.names import read_otherwise
from ezav.errors import EzavError
from ezav.recognizer.names import Wanted, read_names
from ezav.recognizer.prediction import Kind


@dataclass(frozen=True, eq=False)
class Candidates:
    """C names to choose from.

    Attributes:
        names: as asked for.
        known_as: the run's spelling where it differs, else empty.
        kinds: seen, unseen or new.
        seen: bool `[C]`.
        columns: long `[C]`, the column of each among `[run's K classes…, new names…]`.
        new_vectors: `[C_new, d]`, class embeddings of the new names.
        remarks: what the text encoder does not read of the names, and which are one vector to it.
        read: new name -> what the text encoder reads, where that is another spelling.
    """

    names: tuple[str, ...]
    known_as: tuple[str, ...]
    kinds: tuple[Kind, ...]
    seen: Tensor
    columns: Tensor
    new_vectors: Tensor
    remarks: tuple[str, ...] = ()
    read: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)


def all_classes(trained: ClassEmbeddings, seen: Tensor, taught: Collection[str] = ()) -> Candidates:
    """Every class of the run, and those it was taught."""
    return Candidates(
        names=trained.names,
        known_as=("",) * len(trained),
        kinds=tuple(_kind_of(name, one, taught) for name, one in zip(trained.names, seen.tolist())),
        seen=seen,
        columns=torch.arange(len(trained)),
        new_vectors=trained.vectors[:0],
    )


def named_classes(
    names: Sequence[str],
    trained: ClassEmbeddings,
    seen: Tensor,
    extend: Callable[[list[str]], Tensor],
    described: Collection[str] = (),
    taught: Collection[str] = (),
) -> Candidates:
    """Exactly these names; `extend` gives class embeddings `[C_new, d]` of the new ones.

    Names that are `described` are new: what is behind them is read.

    Raises:
        EzavError: the list is empty, repeats a class, or holds something that is no name.
    """
    wanted = read_names(names, trained.names, described)
    new = [one.name for one in wanted if one.row is None]
    vectors = extend(new) if new else trained.vectors[:0]
    column = {name: len(trained) + position for position, name in enumerate(new)}
    return Candidates(
        names=tuple(one.name for one in wanted),
        known_as=tuple(_other_spelling(one, trained) for one in wanted),
        kinds=tuple(_kind(one, trained, seen, taught) for one in wanted),
        seen=torch.tensor([one.row is not None and bool(seen[one.row]) for one in wanted]),
        columns=torch.tensor([column[o.name] if o.row is None else o.row for o in wanted]),
        new_vectors=vectors,
        read=read_otherwise(new, described),
    )


def remarks(
    found: Candidates, text: ClassEmbeddings, raw: Tensor, unread: Mapping[str, str]
) -> tuple[str, ...]:
    """What to tell of candidates in the text encoder's space; see `ezav.encoders.legible`.

    Args:
        found: the candidates.
        text: raw text embeddings of the run's K classes, in its order.
        raw: those of the new names `[C_new, d]`, in the order of `found.new_vectors`.
        unread: new name -> what of it is not read; for the run's classes `text` records it.
    """
    of_run = text.settings.get("unread", {})
    what = dict(unread)
    for name, column in zip(found.names, found.columns.tolist()):
        if column < len(text) and text.names[column] in of_run:
            what[name] = of_run[text.names[column]]
    vectors = torch.cat([text.vectors, raw.to(text.vectors)])[found.columns]
    return tuple(told_of(found.names, vectors, what))


def extend(
    names: Sequence[str],
    raw: Tensor,
    text: ClassEmbeddings,
    trained: ClassEmbeddings,
    recipe: ClassEmbeddingRecipe,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Class embeddings `[C_new, d]` of new names, by the recipe that the run was trained with.

    Args:
        names: the new names.
        raw: their raw text embeddings `[C_new, d]`, unit rows.
        text: raw text embeddings of the run's classes.
        trained: the class embeddings the run was trained with.
        on_progress: called with the number of names done, and of all.

    Raises:
        EzavError: the run is the shuffled control, whose names mean nothing.
    """
    if recipe.shuffle:
        raise EzavError(
            "this run is a control experiment: its class embeddings are shuffled among classes",
            "choose among its classes, or use a run without shuffle",
        )
    new = ClassEmbeddings(tuple(names), raw, text.encoder)
    return recipe.extend(new, text, trained, on_progress).vectors


def _kind(wanted: Wanted, trained: ClassEmbeddings, seen: Tensor, taught: Collection[str]) -> Kind:
    if wanted.row is None:
        return "new"
    return _kind_of(trained.names[wanted.row], bool(seen[wanted.row]), taught)


def _kind_of(name: str, seen: bool, taught: Collection[str]) -> Kind:
    if seen:
        return "seen"
    return "taught" if name in taught else "unseen"


def _other_spelling(wanted: Wanted, trained: ClassEmbeddings) -> str:
    if wanted.row is None or trained.names[wanted.row] == wanted.name:
        return ""
    return trained.names[wanted.row]
