"""Descriptions behind the class names of a store: encoded again, nothing extracted again."""

from __future__ import annotations

from pathlib import Path

from ezav.encoders.descriptions import Descriptions, check_known
from ezav.features.describe import replace_class_embeddings
from ezav.features.store import FeatureStore
from ezav.recognizer.encoders import RunEncoders


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
        EzavError: names and descriptions do not fit, or a text encoder is not available.
    """
    store = FeatureStore.open(path)
    if descriptions:
        check_known(descriptions, store.classes, source)
    made = []
    for name in store.encoders:
        before = store.class_embeddings(name)
        encoders = RunEncoders(store.header, before, import_code, device)
        vectors = encoders.encode_names(store.classes, descriptions=descriptions)
        kept = {k: v for k, v in before.settings.items() if k not in {"descriptions", "unread"}}
        if unread := encoders.unread(store.classes, descriptions):
            kept["unread"] = unread
        if descriptions:
            kept["descriptions"] = {key: list(lines) for key, lines in descriptions.items()}
        made.append(type(before)(store.classes, vectors, before.encoder, kept))
    return replace_class_embeddings(store, made)


def descriptions_of(path: str | Path) -> dict[str, list[str]]:
    """The descriptions that a store keeps; none where there is no store yet, or it has none."""
    if not (Path(path) / "index.parquet").is_file():
        return {}
    store = FeatureStore.open(path)
    if not store.encoders:
        return {}
    found = store.class_embeddings().settings.get("descriptions")
    return dict(found) if isinstance(found, dict) else {}
