"""Other class embeddings for a finished store: features and splits stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ezav.features.index import fingerprint, write_index
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
