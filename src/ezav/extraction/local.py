"""`extract`: labelled videos to a feature store, in parallel, resumable at any moment."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.descriptions import Descriptions
from ezav.encoders.registry import load_audio, load_visual
from ezav.errors import EzavError
from ezav.extraction.batch import placed
from ezav.extraction.blame import encoders_work
from ezav.extraction.listing import Item
from ezav.extraction.on_ray import RayPool
from ezav.extraction.pairs import Encoders, PairStore, Slots
from ezav.extraction.plan import Plan, open_stores, plan, still_to_do
from ezav.extraction.pool import WorkerPool, cpus
from ezav.extraction.report import (
    Begun,
    Done,
    ExtractionReport,
    Progress,
    empty_report,
    read_report,
)
from ezav.extraction.resume import note_sizes
from ezav.extraction.settings import ExtractSettings
from ezav.extraction.splitting import final_splits


def extract(
    videos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    visual: Encoders = DEFAULTS["visual"],
    audio: Encoders = DEFAULTS["audio"],
    text: Encoders = DEFAULTS["text"],
    descriptions: Descriptions | None = None,
    settings: ExtractSettings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_begin: Callable[[Begun], None] | None = None,
    **changes: Any,
) -> ExtractionReport:
    """Encode every clip of a folder or manifest and write a feature store.

    A second call does only what is missing. A kill at any moment loses at most the clips in hand.
    A clip without sound (or picture) has no tokens there, never zeros. A clip that cannot be read
    stays in the index with the reason.

    Args:
        videos: a folder `<class name>/*` or a CSV manifest `path,class[,split]`
            (:func:`ezav.extraction.list_videos`).
        out: the store's folder.
        visual, audio: encoders by name or import path, perhaps with options
            (`"clip,source=models/clip,fps=2"`, or an `EncoderSpec`). Of several, the first of
            each kind make one store, the second another, and so on (a single one goes with all
            of the other kind); the stores lie in `out`, and each file is decoded once for all.
        text: text encoders of the class names, the default first.
        descriptions: what text encoders read in the place of the class names, of each class; by
            default what the store keeps of an earlier call (`ezav features describe` changes it).
        settings: all else; by default those of :class:`ezav.extraction.ExtractSettings`.
        on_progress: called after every clip.
        on_begin: called before the first, with the classes set apart and unclear class names.
        changes: settings by name, in place of those in `settings`: `unseen=["rain"]`,
            `workers=2`, `device="cuda"`, `shard="1/8"`, `retry=True`, …

    Returns:
        What became of the clips; where several stores were written, of the first one, with the
        others in `others`. Of a part without clips nothing is written; the report has a `note`.

    Raises:
        EzavError: a wrong listing, splits that make no benchmark, an encoder that cannot be
            loaded, descriptions of other classes, a store made with other settings, nothing
            readable, a full disk.

    Example:
        >>> extract("no/such/folder", "store")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: there is no folder or manifest 'no/such/folder'; give a ...
    """
    settings = (settings or ExtractSettings()).with_(**changes)
    made = plan(Path(videos), Path(out), visual, audio, text, settings, descriptions)
    if not made.items:  # the other jobs of the array have them all
        note = f"shard {settings.shard} has no clips: nothing to do"
        return empty_report(made.folders[0], made.listing, note)
    with ExitStack() as stack:
        stores = open_stores(made, stack)
        if on_begin is not None:
            on_begin(made.begun)
        work = _encode(made, stores, still_to_do(made, stores), on_progress)
        done = [_publish(made, store, work) for store in stores]
    pairs = zip(stores, done)
    first, *others = (read_report(one.writer.path, made.listing, did) for one, did in pairs)
    return replace(first, remarks=made.remarks, others=tuple(others))


def _encode(
    made: Plan,
    stores: Sequence[PairStore],
    todo: Sequence[Item],
    on_progress: Callable[[Progress], None] | None,
) -> Done:
    """Encode what is still to do into the stores; each clip is on the disk before the next."""
    begun, media_seconds = time.monotonic(), 0.0
    if todo:
        with _pool(made.slots, made.settings, len(todo)) as pool:
            before = {clip for store in stores for clip in store.writer.failed}
            encoded = encoders_work(
                pool.encode([item.path for item in todo]),
                again={index for index, item in enumerate(todo) if item.clip in before},
                proven=set().union(*(store.worked for store in stores)),
            )
            for count, (index, clip) in enumerate(encoded, start=1):
                for store in stores:
                    store.add(todo[index], clip)
                media_seconds += clip.duration
                if on_progress is not None:
                    on_progress(Progress(count, len(todo), clip))
    return Done(
        listed=len(made.items),
        added=len(todo),
        media_seconds=media_seconds,
        seconds=time.monotonic() - begun,
    )


def _pool(slots: Slots, settings: ExtractSettings, files: int) -> WorkerPool | RayPool:
    looks, sounds = slots.of_kind("visual"), slots.of_kind("audio")
    if settings.engine == "ray":
        return RayPool(
            looks,
            sounds,
            workers=settings.workers or 1,
            gpus=settings.gpus,
            reading=settings,
            address=settings.ray_address,
        )
    return WorkerPool(
        placed(looks, load_visual),
        placed(sounds, load_audio),
        workers=min(settings.workers or cpus(), files),
        reading=settings,
    )


def _publish(made: Plan, store: PairStore, work: Done) -> Done:
    """Finish a store with its splits; what was done in it.

    Raises:
        EzavError: none of its clips could be read.
    """
    writer = store.writer
    # A part that was made with another number of parts holds more than its share.
    failed, done = writer.failed, writer.done
    held = [item for item in made.listing.items if item.clip in done]
    readable = [item for item in held if item.clip not in failed]
    if not readable:
        raise _nothing_readable(failed, made.items)
    whole = made.part is None
    splits, origin = final_splits(made.splits_of, made.origin, made.listing, readable, whole)
    unlisted = set(done) - {item.clip for item in held}
    note_sizes(writer.path, writer.records, made.sizes, store.replaced)
    writer.finish(
        splits,
        made.classes,
        split_origin=origin,
        leave_out=unlisted,
        sources=made.listing.sources,
        whole=whole,
    )
    return replace(work, gone=len(unlisted), replaced=tuple(sorted(store.replaced)))


_REASONS = 3
"""Reasons told where no clip can be read, the commonest first."""


def _nothing_readable(failed: dict[str, str], items: Sequence[Item]) -> EzavError:
    reasons = Counter(failed[item.clip] for item in items if item.clip in failed)
    told = [
        f"{reason} ({count} clip{'s' * (count > 1)}, for example "
        f"'{next(item.clip for item in items if failed.get(item.clip) == reason)}')"
        for reason, count in reasons.most_common(_REASONS)
    ]
    more = [f"{len(reasons) - _REASONS} other reasons"] * (len(reasons) > _REASONS)
    return EzavError(
        f"none of {len(items)} clips could be read: {'; '.join(told + more)}",
        "check that these are recordings; `retry=True` tries them again",
    )
