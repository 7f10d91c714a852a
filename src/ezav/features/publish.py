"""Making written clips a finished store: class embeddings, then the index, in one step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.errors import EzavError
from ezav.features.header import ClassFile, Contents, EncoderInfo, Header
from ezav.features.index import OK, class_checksum, fingerprint, make_index, write_index
from ezav.features.shards import ClipRecord
from ezav.features.sources import check_sources
from ezav.features.splits import SPLITS, check_splits
from ezav.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from ezav.classes.embeddings import ClassEmbeddings


def publish(
    folder: Path,
    header: Header,
    records: Mapping[str, tuple[ClipRecord, int, int]],
    shards: Sequence[str],
    splits: Mapping[str, str],
    class_embeddings: Sequence[ClassEmbeddings],
    *,
    sources: Mapping[str, str] | None = None,
    whole: bool = True,
) -> None:
    """Write class embeddings and index for clip -> (record, shard, row).

    The arguments are those of :meth:`ezav.features.StoreWriter.finish`, and so are its errors.
    """
    classes = {r.clip: r.class_name for r, *_ in records.values() if r.status == OK}
    _check(records, classes, splits, sources or {}, whole)
    names = tuple(sorted(set(classes.values())))
    files = write_classes(folder, class_embeddings, names)
    index = make_index(records, splits, sources)
    counts = dict.fromkeys(SPLITS, 0)
    for clip in classes:
        counts[splits[clip]] += 1
    contents = Contents(
        header=_with_text(header, class_embeddings),
        classes=names,
        splits=counts,
        unreadable=len(records) - len(classes),
        whole=whole,
        shards=tuple(shards),
        class_files=files,
        fingerprint=fingerprint(index, (file.checksum for file in files)),
    )
    for name in (SIGNATURE, MANIFEST):  # of what the store was before
        (folder / name).unlink(missing_ok=True)
    write_index(folder, index, contents)
    for leftover in list((folder / "classes").iterdir()):
        if leftover.name not in {file.file for file in files}:
            leftover.unlink()


def _with_text(header: Header, class_embeddings: Sequence[ClassEmbeddings]) -> Header:
    """The header naming the text encoders too, if whoever began the store did not."""
    named = {encoder.name for encoder in header.encoders if encoder.modality == "text"}
    if named:
        return header
    text = tuple(
        EncoderInfo(modality="text", name=embeddings.encoder, dimension=embeddings.dim)
        for embeddings in class_embeddings
    )
    return header.model_copy(update={"encoders": header.encoders + text})


def _check(
    records: Mapping[str, tuple[ClipRecord, int, int]],
    classes: Mapping[str, str],
    splits: Mapping[str, str],
    sources: Mapping[str, str],
    whole: bool,
) -> None:
    if not classes:
        reasons = sorted({record.reason for record, *_ in records.values() if record.reason})
        why = f": {reasons[0]}" if reasons else ""
        raise EzavError(f"not one clip could be read, of {len(records)}{why}", "check the videos")
    if lacking := [clip for clip in classes if clip not in splits]:
        raise EzavError(
            f"clip '{lacking[0]}' is in no split ({len(lacking)} such clips)",
            "give every clip a split, or leave these out",
        )
    if unknown := [clip for clip in splits if clip not in records]:
        raise EzavError(
            f"the splits name clip '{unknown[0]}', which was never added "
            f"({len(unknown)} such clips)",
            "add it, with a status and a reason if it cannot be read",
        )
    if whole:
        check_splits({clip: splits[clip] for clip in classes}, classes)
        check_sources({clip: splits[clip] for clip in classes}, sources)
    elif odd := [clip for clip in classes if splits[clip] not in SPLITS]:
        raise EzavError(f"clip '{odd[0]}' is in the unknown split '{splits[odd[0]]}'")


def write_classes(
    folder: Path, class_embeddings: Sequence[ClassEmbeddings], classes: Sequence[str]
) -> tuple[ClassFile, ...]:
    """Write class embeddings beside a store's index, which is to name these files.

    Raises:
        EzavError: one of them lacks a class.
    """
    from ezav.classes.embeddings import ClassEmbeddings as Embeddings

    files: list[ClassFile] = []
    for embeddings in class_embeddings:
        if missing := [name for name in classes if name not in embeddings.names]:
            raise EzavError(
                f"the class embeddings of {embeddings.encoder} lack '{missing[0]}'"
                + (f" and {len(missing) - 1} more classes" if len(missing) > 1 else ""),
                "encode the names of all classes of the store",
            )
        hashed = class_checksum(embeddings)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", embeddings.encoder).strip("-.")[:100] or "text"
        taken = {file.file for file in files}
        file = f"{name}.safetensors"
        path = folder / "classes" / file
        # The old index may still point to a file of this name: leave it as it is.
        if file in taken or (path.exists() and class_checksum(Embeddings.load(path)) != hashed):
            file = f"{name}-{hashed[:8]}.safetensors"
        embeddings.save(folder / "classes" / file)
        files.append(ClassFile(encoder=embeddings.encoder, file=file, checksum=hashed))
    return tuple(files)
