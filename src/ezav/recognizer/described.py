"""Descriptions behind the class names of a store: encoded again, nothing extracted again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.descriptions import Descriptions, check_known
from ezav.encoders.names import read_otherwise
from ezav.features.begin import lock
from ezav.features.describe import replace_class_embeddings
from ezav.features.store import FeatureStore
from ezav.recognizer.encoders import JOIN, RunEncoders

_OF_NAMES = ("descriptions", "unread", "read")
"""Settings of class embeddings that say how their names were read."""


def described(
    store: FeatureStore,
    descriptions: Descriptions,
    text_encoder: str | None = None,
    *,
    source: str = "",
    device: str = "cpu",
    import_code: bool = False,
) -> FeatureStore:
    """The store with descriptions in the place of its class names; on disk it stays as it is.

    What is trained on it is trained with them, and keeps them.

    Args:
        store: its features stay.
        descriptions: of each of its classes.
        text_encoder: which of its class embeddings; by default the first. "A + B" joins two.
        source: what messages call the descriptions.
        device: where text encoders run that have an option for it.
        import_code: whether a text encoder of one's own that the store names is imported.

    Raises:
        EzavError: names and descriptions do not fit, or a text encoder is not available.
    """
    check_known(descriptions, store.classes, source)
    wanted = store.encoders[:1] if text_encoder is None else text_encoder.split(JOIN)
    return store.read_as(_texts(store, wanted, descriptions, device, import_code))


def describe_store(
    path: str | Path,
    descriptions: Descriptions,
    *,
    source: str = "",
    device: str = "cpu",
    import_code: bool = False,
) -> FeatureStore:
    """Let every text encoder of a store read descriptions in the place of the class names.

    The store keeps them (`class_embeddings().settings["descriptions"]`). Runs on it are trained
    with them; its features stay.

    Args:
        path: of the store.
        descriptions: of each of its classes; empty takes them away again.
        source: what messages call the descriptions.
        device: where text encoders run that have an option for it.
        import_code: whether a text encoder of one's own that the store names is imported.

    Raises:
        EzavError: names and descriptions do not fit, a text encoder is not available, or another
            process is writing the store.
    """
    FeatureStore.open(path)  # raises: there is none
    held = lock(Path(path))
    try:
        store = FeatureStore.open(path)
        if descriptions:
            check_known(descriptions, store.classes, source)
        made = _texts(store, store.encoders, descriptions, device, import_code)
        return replace_class_embeddings(store, list(made))
    finally:
        os.close(held)


def _texts(
    store: FeatureStore,
    text_encoders: Iterable[str],
    descriptions: Descriptions,
    device: str,
    import_code: bool,
) -> Iterable[ClassEmbeddings]:
    """The store's class embeddings, each text encoder having read what is behind the names."""
    for name in text_encoders:
        before = store.class_embeddings(name)
        encoders = RunEncoders(store.header, before, import_code, device)
        vectors = encoders.encode_names(store.classes, descriptions=descriptions)
        kept = {k: v for k, v in before.settings.items() if k not in _OF_NAMES}
        if unread := encoders.unread(store.classes, descriptions):
            kept["unread"] = unread
        if descriptions:
            kept["descriptions"] = {key: list(lines) for key, lines in descriptions.items()}
        if read := read_otherwise(store.classes, descriptions):
            kept["read"] = read
        yield replace(before, names=store.classes, vectors=vectors, settings=kept)
