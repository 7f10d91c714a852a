"""What is behind the class names of a store: its features and splits stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.features.index import INDEX_FILE, fingerprint, write_index
from ezav.features.publish import write_classes
from ezav.features.store import FeatureStore

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings


def replace_class_embeddings(
    store: FeatureStore, class_embeddings: Sequence[ClassEmbeddings]
) -> FeatureStore:
    """Write these in the place of the store's class embeddings, in one step; the store again.

    The fingerprint changes with the vectors: a run on the store as it was is another run.

    Raises:
        EzavError: one of them lacks a class of the store, or the folder cannot be written.
    """
    index = store.index
    files = write_classes(store.path, class_embeddings, store.classes)
    contents = store.contents.model_copy(
        update={
            "class_files": files,
            "fingerprint": fingerprint(index, (file.checksum for file in files)),
        }
    )
    write_index(store.path, index, contents)
    for leftover in list((store.path / "classes").iterdir()):
        if leftover.name not in {file.file for file in files}:
            leftover.unlink()
    return FeatureStore.open(store.path)


def kept_descriptions(path: str | Path) -> dict[str, tuple[str, ...]]:
    """The descriptions that a store keeps; none where there is no store yet, or it has none."""
    if not (Path(path) / INDEX_FILE).is_file():
        return {}
    store = FeatureStore.open(path)
    return descriptions_in(store.class_embeddings().settings) if store.encoders else {}


def descriptions_in(settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The descriptions that class embeddings were made with, as their settings have them.

    Example:
        >>> descriptions_in({"joined": [{"descriptions": {"dog": ["a dog"]}}, {}]})
        {'dog': ('a dog',)}
    """
    several = settings.get("joined")
    for one in several if isinstance(several, list) else [settings]:
        found = one.get("descriptions") if isinstance(one, Mapping) else None
        if isinstance(found, Mapping):
            return {str(name): tuple(lines) for name, lines in found.items()}
    return {}
