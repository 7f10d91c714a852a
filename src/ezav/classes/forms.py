"""Gentler forms of class embeddings: what they do to the classes they do to names typed later.

All start from the text embeddings less the mean of the classes. Three are a linear map of that,

    t -> unit(u + u A^T B),   u = unit(t - mean),

so that what a linear map can read of the text stays readable, and a new name costs one product;
`strong` moves classes inside a few directions of the text alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings, unit_rows
from ezav.classes.optimize import centred, optimize_class_embeddings
from ezav.classes.settings import CeoSettings

FormName = Literal["centred", "linear", "strong", "apart", "together"]
Confused = tuple[tuple[str, str, float], ...]
"""Pairs of classes that clips confuse, and how often: the two shares of clips, added."""

_RIDGE = 1.0
_PAIR_RIDGE = 0.3
_SHARE = 3
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class LinearForm:
    """`t -> unit(u + u A^T B)`, `u = unit(t - mean)`.

    Attributes:
        text: `[C, d]`, whose mean is taken off.
        anchors: A `[S, d]`.
        moves: B `[S, d]`.

    Example:
        >>> text = torch.eye(2)
        >>> LinearForm(text, text[:0], text[:0])(text, ("a", "b"))
        tensor([[ 0.7071, -0.7071],
                [-0.7071,  0.7071]])
    """

    text: Tensor
    anchors: Tensor
    moves: Tensor

    @classmethod
    def towards(cls, text: Tensor, own: Tensor, wanted: Tensor, ridge: float) -> LinearForm:
        """The map next to the identity (ridge regression) that brings `own` to `wanted`."""
        own = own.double()
        gram = own @ own.T
        gram.diagonal().add_(ridge)
        return cls(text, own, torch.linalg.solve(gram, wanted.double() - own))

    def __call__(self, vectors: Tensor, names: tuple[str, ...]) -> Tensor:
        flat = centred(vectors, self.text, names).double()
        return unit_rows((flat + flat @ self.anchors.double().T @ self.moves.double()).float())


@dataclass(frozen=True, eq=False)
class StrongForm:
    """Moved apart inside the strong directions of the text, all else left as it is.

    Attributes:
        text: `[C, d]`, whose mean is taken off.
        directions: `[k, d]`, orthonormal.
        inside, apart: the classes' parts there, at unit length, before and after.
    """

    text: Tensor
    directions: Tensor
    inside: ClassEmbeddings
    apart: ClassEmbeddings

    @classmethod
    def of(cls, text: ClassEmbeddings, ceo: CeoSettings, seed: int) -> StrongForm:
        """Separate in the strongest third of the directions, three at the least."""
        flat = centred(text.vectors, text.vectors, text.names)
        kept = max(_FEWEST, len(text) // _SHARE)
        directions = torch.linalg.svd(flat.double(), full_matrices=False)[2][:kept].float()
        inside = text.with_vectors(flat @ directions.T)
        apart = optimize_class_embeddings(inside, replace(ceo, center=False), seed=seed)
        return cls(text.vectors, directions, inside, apart.embeddings)

    def __call__(self, vectors: Tensor, names: tuple[str, ...]) -> Tensor:
        flat = centred(vectors, self.text, names)
        part = flat @ self.directions.T
        if torch.equal(vectors, self.text):
            moved = self.apart.vectors
        else:
            from ezav.classes.extend import extend_class_embeddings

            new = ClassEmbeddings(names, part)
            moved = extend_class_embeddings(new, self.inside, self.apart).vectors
        turned = moved * part.norm(dim=1, keepdim=True) - part
        return unit_rows(flat + turned @ self.directions)


Form = Callable[[Tensor, tuple[str, ...]], Tensor]
"""Text embeddings `[M, d]` and their names -> class embeddings `[M, d]`."""


def form_of(
    name: FormName, text: ClassEmbeddings, ceo: CeoSettings, confused: Confused = (), seed: int = 0
) -> Form:
    """What makes class embeddings of text embeddings, those of new names too.

    Args:
        name: `centred`: the mean of the classes taken off. `linear`: the linear map next to the
            identity that does to the classes what optimization with `ceo` does. `strong`:
            optimization inside the strongest third of the directions. `apart`, `together`: the
            linear map that moves pairs of confused classes from or to each other.
        text: raw text embeddings of all classes of the stage.
        ceo: of the optimization, for `linear` and `strong`.
        confused: for `apart` and `together`; classes that `text` lacks are left out.
        seed: for sampled triplets.

    Raises:
        EzavError: a class is the mean itself, or has no strong part.

    Example:
        >>> text = ClassEmbeddings(("a", "b", "c"), torch.eye(3))
        >>> form = form_of("linear", text, CeoSettings(alpha=0.2))
        >>> form(torch.ones(1, 3) + torch.eye(3)[:1], ("new",)).shape
        torch.Size([1, 3])
    """
    if name == "strong":
        return StrongForm.of(text, ceo, seed)
    vectors = text.vectors
    if name == "centred":
        return LinearForm(vectors, vectors[:0], vectors[:0])
    flat = centred(vectors, vectors, text.names)
    if name == "linear":
        plain = text.with_vectors(flat)
        wanted = optimize_class_embeddings(plain, replace(ceo, center=False), seed=seed).vectors
        return LinearForm.towards(vectors, flat, wanted, _RIDGE)
    row = {one: index for index, one in enumerate(text.names)}
    rate = torch.zeros(len(text), len(text))
    for a, b, share in confused:
        if a in row and b in row:
            rate[row[a], row[b]] = rate[row[b], row[a]] = share
    push = rate.sum(dim=1, keepdim=True) * flat - rate @ flat
    wanted = F.normalize(flat + push if name == "apart" else flat - push, dim=1)
    return LinearForm.towards(vectors, flat, wanted, _PAIR_RIDGE)
