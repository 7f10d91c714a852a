"""What is to be told of the class names of a store: recorded with their text embeddings."""

from __future__ import annotations

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.legible import told_of


def remarks_of(text: ClassEmbeddings) -> list[str]:
    """What the text encoder did not read of class names, and which it cannot tell apart.

    Args:
        text: text embeddings; their setting `unread` holds what the encoder said when it made them.

    Example:
        >>> import torch
        >>> text = ClassEmbeddings(("dog", "ឆ្កែ"), torch.eye(2), settings={"unread": {"ឆ្កែ": "?"}})
        >>> remarks_of(text)
        ["'ឆ្កែ': ?"]
    """
    return told_of(text.names, text.vectors, text.settings.get("unread", {}))
