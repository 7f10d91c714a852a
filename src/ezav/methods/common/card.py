"""What a table of methods says about one of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One row of the table of methods; each method class carries its own as `card`.

    Example:
        >>> Card(title="AVCA", paper="Mercea et al., CVPR 2022", year=2022, parity="...").text
        'any class embeddings'
    """

    title: str
    """The name as the field writes it."""
    paper: str
    """Authors, venue and year of the paper."""
    year: int
    """Year of publication."""
    parity: str
    """What the implementation is checked against in the tests."""
    modalities: str = "audio + visual"
    """What of a clip is read; a clip that lacks one of them is scored all the same."""
    text: str = "any class embeddings"
    """What the class embeddings must be."""
