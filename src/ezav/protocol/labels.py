"""The labels that a store's encoder knows by name, read from the encoder itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, cast

import torch

from ezav.encoders import registry
from ezav.encoders.base import EncoderCard, HasHead
from ezav.encoders.identity import other
from ezav.encoders.words import label_vectors
from ezav.errors import UnavailableError
from ezav.features.header import EncoderInfo, Header
from ezav.methods.common.label_words import LabelHead


def has_labels(header: Header, text: str) -> bool:
    """Whether :func:`label_head` would find some; no encoder is loaded."""
    reader = text.split("@")[0]
    if header.simulated or reader not in registry.names("text"):
        return False
    if registry.card("text", reader).label != text:  # another revision, or several side by side
        return False
    return any(_is_labelled(info) for info in header.encoders)


def _is_labelled(info: EncoderInfo) -> bool:
    if info.modality == "text":
        return False
    return info.name in registry.names(info.modality) and registry.has_head(
        info.modality, info.name
    )


def label_head(header: Header, text: str) -> LabelHead | None:
    """The last layer of the store's visual or audio encoder, with the text of its labels.

    None where no built-in encoder of the store ends in a linear layer over named labels, or the
    class names are not the text of one built-in encoder; then there are no words.

    Args:
        header: of the store.
        text: which class embeddings are used, as `ClassEmbeddings.encoder` has it.

    Raises:
        UnavailableError: the encoder's weights are not on this machine, or are others.
    """
    if not has_labels(header, text):
        return None
    reader = text.split("@")[0]
    for info in header.encoders:
        if not _is_labelled(info):
            continue
        modality: Literal["audio", "visual"] = "audio" if info.modality == "audio" else "visual"
        card, head = _read(modality, info.name, reader)
        told, here = (info.revision, info.identity), (card.revision, card.identity)
        name = f"the store's {modality} encoder '{info.name}'"
        if why := other(name, told, here):
            raise UnavailableError(f"{name} is not the one here: {why}", "extract the store again")
        return head
    return None


@lru_cache(maxsize=2)  # the stages of a run, and its controls, ask for the same one
def _read(
    modality: Literal["audio", "visual"], name: str, reader: str
) -> tuple[EncoderCard, LabelHead]:
    encoder = cast(HasHead, registry.load(modality, name, import_code=False))
    weight, bias = encoder.head()
    vectors = torch.from_numpy(label_vectors(registry.load_text(reader), encoder.labels).copy())
    return encoder.card, LabelHead(modality, weight, bias, vectors)
