"""Which encoders share a space with the text, and how their frozen scores are weighed."""

from __future__ import annotations

from typing import Any

from ezav.features.header import EncoderInfo
from ezav.features.importers.layouts import LAYOUTS
from ezav.features.store import FeatureStore
from ezav.protocol.labels import has_labels


def frozen_settings(store: FeatureStore, text_encoder: str | None = None) -> dict[str, Any] | None:
    """What a method with frozen scores must be told of a store; None: it can have none.

    Features in the text's own space are compared with it (`visual_weight`). Else the labels that
    an encoder of the store knows speak for it (`words`).

    Raises:
        NotFoundError: as :func:`frozen_weight`.
    """
    weight = frozen_weight(store, text_encoder)
    if weight is not None:
        return {"visual_weight": weight}
    if has_labels(store.header, store.class_embeddings(text_encoder).encoder):
        return {"words": True}
    return None


def frozen_weight(store: FeatureStore, text_encoder: str | None = None) -> float | None:
    """The share of the visual score in frozen scores: 1, 0.5, or 0 (audio alone).

    The class embeddings may be the text of the visual encoder (CLIP), of the audio encoder (CLAP),
    or of both side by side; None where they are neither, and there is no baseline.

    Raises:
        NotFoundError: the store has no class embeddings, or none of that encoder.

    Example:
        >>> print(frozen_weight(store))  # random vectors share no space with a text
        None
    """
    text = store.class_embeddings(text_encoder).encoder
    if store.header.setting == LAYOUTS["clipclap"].features("cls").setting:
        return 0.5
    found = {(one.modality, one.name): _space_of(one) for one in store.header.encoders}
    texts = [found.get(("text", name)) for name in text.split(" + ")]
    visual, audio = (
        next((space for (kind, _), space in found.items() if kind == modality), None)
        for modality in ("visual", "audio")
    )
    if None in texts:
        return None
    seen, heard = texts in ([visual], [visual, audio]), texts in ([audio], [visual, audio])
    return 0.5 * (1 + seen - heard) if seen or heard else None


def _space_of(encoder: EncoderInfo) -> tuple[str, int] | None:
    """The space that an encoder shares with others, and its dimension; None if it has its own."""
    from ezav.encoders import registry

    name = encoder.name.split("@")[0]  # text encoders of a store are called name@revision
    if name not in registry.names(encoder.modality):
        return None
    space = registry.card(encoder.modality, name).space
    return None if space is None else (space, encoder.dimension)
