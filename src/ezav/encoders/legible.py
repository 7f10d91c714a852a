"""What a text encoder can read of class names, and which it cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

ALIKE = 1e-5
"""Distance of unit vectors up to which they are the same: rounding apart."""


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
    found = {}
    for name in names:
        tokens = tokenizer(name, add_special_tokens=False, truncation=False)["input_ids"]
        room = None if longest is None else longest - tokenizer.num_special_tokens_to_add()
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

    # Equal rows are neighbours in the order of any one coordinate; a random direction makes it
    # unlikely that others come between them.
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(vectors.shape[1], generator=generator, dtype=torch.float64)
    along = vectors.double().cpu() @ direction / direction.norm()
    order = along.argsort()
    groups: list[list[int]] = []
    rows = vectors.cpu()
    for before, after in zip(order[:-1].tolist(), order[1:].tolist()):
        if float((rows[before] - rows[after]).norm()) > ALIKE:
            continue
        if groups and groups[-1][-1] == before:
            groups[-1].append(after)
        else:
            groups.append([before, after])
    return sorted(sorted(group) for group in groups)


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
    told = []
    if isinstance(encoder, SaysWhatItReads):
        told = [f"'{name}': {what}" for name, what in encoder.unread(names).items()]
    for group in alike(vectors):
        shown = ", ".join(f"'{names[row]}'" for row in group[:4])
        more = f" and {len(group) - 4} more" if len(group) > 4 else ""
        told.append(f"{shown}{more} are one vector to the text encoder: it cannot tell them apart")
    return told
