"""What a text encoder can read of class names, and which it cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ezav.encoders.names import readable_names
from ezav.naming import shown

if TYPE_CHECKING:
    from torch import Tensor

ALIKE = 1e-4
"""Distance of unit vectors up to which they are the same: the rounding of half precision apart.
Class embedding optimization keeps such rows together."""


_MOST = 20
"""Names, and groups of names, that are told one by one."""


@runtime_checkable
class SaysWhatItReads(Protocol):
    """A text encoder that can say what it does not read of a name."""

    def unread(self, names: Sequence[str]) -> dict[str, str]:
        """Name -> what of it is not read, for those of which something is not."""
        ...


def unread_by(tokenizer: Any, names: Sequence[str], longest: int | None) -> dict[str, str]:
    """Name -> what a tokenizer of `transformers` leaves out of it.

    Args:
        tokenizer: as `AutoTokenizer` gives it.
        names: as the encoder reads them.
        longest: tokens that are read, marks of beginning and end among them; None for all.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    room = None if longest is None else longest - tokenizer.num_special_tokens_to_add()
    found: dict[str, str] = {}
    if not names:
        return found
    read = tokenizer(list(names), add_special_tokens=False, truncation=False)["input_ids"]
    for name, tokens in zip(names, read):
        if tokens and unknown is not None and all(token == unknown for token in tokens):
            found[name] = "none of its letters are known to the text encoder"
        elif not tokens:
            found[name] = "nothing of it is read by the text encoder"
        elif room is not None and len(tokens) > room:
            found[name] = f"only the first {room} of its {len(tokens)} tokens are read"
    return found


def alike(vectors: Tensor) -> list[list[int]]:
    """Groups of rows that are one vector, of two rows at least; each group and all in order.

    Args:
        vectors: unit rows `[C, d]`.

    Example:
        >>> import torch
        >>> alike(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
        [[0, 2]]
    """
    import torch

    # What is near in space is near along any direction: few pairs are left to compare.
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(vectors.shape[1], generator=generator, dtype=torch.float64)
    rows = vectors.double().cpu()
    along = (rows @ direction / direction.norm()).tolist()
    groups: list[list[int]] = []
    near: list[list[int]] = []  # groups that the next row may still belong to
    for row in sorted(range(len(along)), key=along.__getitem__):
        near = [group for group in near if along[row] - along[group[0]] <= ALIKE]
        for group in near:
            if float((rows[row] - rows[group[0]]).norm()) <= ALIKE:
                group.append(row)
                break
        else:
            near.append([row])
            groups.append(near[-1])
    return sorted(sorted(group) for group in groups if len(group) > 1)


def remarks(encoder: object, names: Sequence[str], vectors: Tensor) -> list[str]:
    """What to tell of class names: what is not read of them, and which are the same to the encoder.

    Args:
        encoder: the text encoder; one that cannot say what it reads is believed.
        names: the C names.
        vectors: what it made of them, unit rows `[C, d]`.

    Returns:
        Sentences, one a name or a group of names; empty if all is well.

    Example:
        >>> import torch
        >>> remarks(object(), ["dog", "hound", "cat"], torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]]))
        ["'dog', 'hound' are one vector to the text encoder: it cannot tell them apart"]
    """
    return told_of(names, vectors, unread(encoder, names))


def unread(encoder: object, names: Sequence[str]) -> dict[str, str]:
    """Name -> what of it a text encoder does not read; empty for one that cannot say.

    Args:
        encoder: the text encoder; one that cannot say what it reads is believed.
        names: the names of classes, as people wrote them.
    """
    if not isinstance(encoder, SaysWhatItReads):
        return {}
    read = readable_names(names)
    found = encoder.unread(read)
    return {name: found[words] for name, words in zip(names, read) if words in found}


def unread_of(
    encoders: Iterable[object],
    names: Sequence[str],
    descriptions: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Name -> what of it, or of a description behind it, one of the encoders does not read."""
    behind = {name: tuple((descriptions or {}).get(name, ())) or (name,) for name in names}
    lines = list(dict.fromkeys(line for several in behind.values() for line in several))
    found = {line: what for one in encoders for line, what in unread(one, lines).items()}
    told = {name: [found[o] for o in some if o in found] for name, some in behind.items()}
    return {name: what[0] for name, what in told.items() if what}


def told_of(names: Sequence[str], vectors: Tensor, unread: Mapping[str, str]) -> list[str]:
    """Sentences of what is not read of names, and of those that are one vector.

    Args:
        names: the C names.
        vectors: their text embeddings, unit rows `[C, d]`.
        unread: as :func:`unread` gives it, perhaps of more names.

    Example:
        >>> import torch
        >>> told_of(["dog", "hound"], torch.ones(2, 1), {})
        ["'dog', 'hound' are one vector to the text encoder: it cannot tell them apart"]
    """
    odd = [name for name in names if name in unread]
    told = [f"'{shown(name)}': {unread[name]}" for name in odd[:_MOST]]
    told += [f"{len(odd) - _MOST} more names are not read whole"] * (len(odd) > _MOST)
    groups = alike(vectors)
    for group in groups[:_MOST]:
        listed = ", ".join(f"'{shown(names[row])}'" for row in group[:4])
        more = f" and {len(group) - 4} more" if len(group) > 4 else ""
        told.append(f"{listed}{more} are one vector to the text encoder: it cannot tell them apart")
    more_groups = len(groups) - _MOST
    return told + [f"{more_groups} more groups of names are one vector each"] * (more_groups > 0)
