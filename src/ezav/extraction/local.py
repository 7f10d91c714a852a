"""`extract`: labelled videos to a feature store, in parallel, resumable at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.names import readable_names
from ezav.encoders.registry import load_audio, load_text, load_visual
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction.batch import placed
from ezav.extraction.encode import OK, EncodedClip
from ezav.extraction.listing import Item, in_utf8, list_videos
from ezav.extraction.on_ray import RayPool
from ezav.extraction.pairs import Encoders, PairStore, Slots
from ezav.extraction.parts import Shard, take_parts
from ezav.extraction.pool import Limits, WorkerPool
from ezav.extraction.report import ExtractionReport, Progress, empty_report, read_report
from ezav.extraction.resume import (
    changed_files,
    check_classes,
    file_sizes,
    finished,
    note_sizes,
)
from ezav.extraction.splitting import check_continues, final_splits, splitter
from ezav.features.writer import StoreWriter
from ezav.media import Decoder
from ezav.media.codec import require_torchcodec

_SUSPECTS = 3
"""So many clips on which an encoder fails, and none that it took in this call, are an error."""


def extract(
    videos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    visual: Encoders = DEFAULTS["visual"],
    audio: Encoders = DEFAULTS["audio"],
    text: Encoders = DEFAULTS["text"],
    unseen: Collection[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    gpus: float = 0,
    shard: str | None = None,
    limits: Limits = Limits(),  # noqa: B008
    half: bool = False,
    retry: bool = False,
    use_damaged: bool = False,
    decoder: Decoder = "pyav",
    allow_outside: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
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
        unseen: classes never to be trained on; None draws them, unless the manifest has splits.
        seed: of the draw.
        device: "cpu": the workers encode, one clip at a time. "cuda", …: encoders that can be put
            there stay in this process, and take batches of what the workers decode.
        workers: processes; default one for each CPU. On Ray: of each actor, default 1.
        engine: "local", or "ray" for a cluster (:class:`ezav.extraction.RayPool`).
        ray_address: of the cluster; None starts one on this machine.
        gpus: of each Ray actor.
        shard: "i/n" does only the i-th of n parts, into `OUT.parts/i-of-n`; a call without it
            takes the finished parts over and does what they lack.
        limits: time and memory that one file may cost.
        half: store features in half precision (float16).
        retry: try again the clips that could not be read earlier.
        use_damaged: use files that are cut short, with a note, instead of leaving them out; those
            that earlier calls left out too.
        decoder: of pictures, "pyav" or "torchcodec" (:func:`ezav.media.read_clip`).
        allow_outside: accept manifest paths that lead out of its folder.
        on_progress: called after every clip.

    Returns:
        What became of the clips; where several stores were written, of the first one, with the
        others in `others`. Of a part without clips nothing is written; the report has a `note`.

    Raises:
        EzavError: a wrong listing, splits that make no benchmark, an encoder that cannot be
            loaded, a store made with other settings, nothing readable, a full disk.

    Example:
        >>> extract("no/such/folder", "store")
        Traceback (most recent call last):
        ...
        ezav.errors.EzavError: there is no folder or manifest 'no/such/folder'; give a folder ...
    """
    listing = list_videos(videos, allow_outside=allow_outside)
    splits_of, origin = splitter(listing, unseen, seed, Path(videos))
    splits_of(listing.items)  # what is wrong with the classes is said before hours of work
    part = None if shard is None else Shard.parse(shard)
    items = listing.items if part is None else part.of(listing.items)
    if decoder == "torchcodec":
        require_torchcodec()
    slots = Slots.of(visual, audio, device)
    if part is not None and not items:  # the other jobs of the array have them all
        note = f"shard {shard} has no clips: nothing to do"
        return empty_report(part.folder(slots.folders(Path(out))[0]), listing, note)
    notes = ["float16"] * half + ["torchcodec"] * (decoder == "torchcodec")
    classes = class_embeddings(listing.classes, text)
    sizes = file_sizes(items)
    with ExitStack() as stack:
        stores: list[PairStore] = []
        for pair, folder in zip(slots.pairs, slots.folders(Path(out))):
            header = slots.header(pair, listing, origin, notes)
            if part is not None:
                folder = part.folder(folder)
            if (shown := in_utf8(str(folder))) != str(folder):
                raise EzavError(f"the path of the store '{shown}' is not in UTF-8", "give another")
            check_continues(folder, origin)
            if part is None:
                take_parts(folder, header, listing)
            writer = stack.enter_context(StoreWriter(folder, header))
            records = writer.records
            labels = {r.clip: r.class_name for r in records.values() if r.status == OK}
            check_classes(folder, labels, listing)
            replaced = changed_files(folder, records, sizes)
            done = finished(records, listing, replaced, retry=retry, use_damaged=use_damaged)
            stores.append(PairStore(pair, writer, half, done, replaced & done))
        done = set.intersection(*(store.done for store in stores))
        todo = [item for item in items if item.clip not in done]
        begun = time.monotonic()
        media_seconds = 0.0
        if todo:
            pool: WorkerPool | RayPool
            looks, sounds = slots.of_kind("visual"), slots.of_kind("audio")
            if engine == "ray":
                pool = RayPool(
                    looks,
                    sounds,
                    workers=workers or 1,
                    gpus=gpus,
                    limits=limits,
                    use_damaged=use_damaged,
                    decoder=decoder,
                    address=ray_address,
                )
            else:
                pool = WorkerPool(
                    placed(looks, load_visual),
                    placed(sounds, load_audio),
                    workers=workers,
                    limits=limits,
                    use_damaged=use_damaged,
                    decoder=decoder,
                )
            with pool:
                encoded = pool.encode([item.path for item in todo])
                before = {clip for store in stores for clip in store.writer.failed}
                again = {index for index, item in enumerate(todo) if item.clip in before}
                proven = set().union(*(store.worked for store in stores))
                encoded = _encoders_work(encoded, again, proven)
                for count, (index, clip) in enumerate(encoded, start=1):
                    for store in stores:
                        store.add(todo[index], clip)
                    media_seconds += clip.duration
                    if on_progress is not None:
                        on_progress(Progress(count, len(todo), clip))
        seconds = time.monotonic() - begun
        gone: list[int] = []
        for store in stores:
            failed = store.writer.failed
            # A part that was made with another number of parts holds more than its share.
            held = [item for item in listing.items if item.clip in store.writer.done]
            readable = [item for item in held if item.clip not in failed]
            if not readable:
                raise _nothing_readable(failed, items)
            splits, told = final_splits(splits_of, origin, listing, readable, part is None)
            unlisted = set(store.writer.done) - {item.clip for item in held}
            gone.append(len(unlisted))
            note_sizes(store.writer.path, store.writer.records, sizes, store.replaced)
            store.writer.finish(
                splits,
                classes,
                split_origin=told,
                leave_out=unlisted,
                whole=part is None,
            )
    reports = [
        read_report(
            store.writer.path,
            listed=len(items),
            earlier=len(items) - len(todo),
            added=len(todo),
            gone=count,
            replaced=tuple(sorted(store.replaced)),
            passed_over=listing.passed_over,
            empty=listing.empty,
            media_seconds=media_seconds,
            seconds=seconds,
        )
        for store, count in zip(stores, gone)
    ]
    return replace(reports[0], others=tuple(reports[1:]))


def class_embeddings(names: Sequence[str], encoders: Encoders) -> list[ClassEmbeddings]:
    """The class names in each text encoder's space, as :func:`readable_names` writes them.

    Raises:
        EzavError: no encoder is named, or one cannot be loaded.
    """
    several = [encoders] if isinstance(encoders, str | EncoderSpec) else encoders
    if not several:
        raise EzavError("no text encoder is named", "the default is minilm")
    found = []
    for one in several:
        spec = EncoderSpec.parse(one).resolved()
        encoder = load_text(spec.name, **spec.options)
        vectors = encoder.encode(readable_names(names))
        settings: dict[str, object] = {}
        if encoder.card.templates:
            settings["templates"] = list(encoder.card.templates)
        if options := spec.without("prompts").settings:
            settings["options"] = options
        label = f"{spec.name}@{encoder.card.revision}"  # how it is found again
        found.append(ClassEmbeddings(tuple(names), vectors, label, settings))
    return found


def _encoders_work(
    encoded: Iterator[tuple[int, EncodedClip]], again: Collection[int], proven: Collection[str]
) -> Iterator[tuple[int, EncodedClip]]:
    """Pass the clips on; but an encoder that fails on all of them is an error, not their fault.

    Args:
        encoded: the clips of this call.
        again: those that failed before: that they do again says nothing of the encoders.
        proven: slots of the encoders that have worked on others in an earlier call: a clip or two
            on which they fail, and no more in this call, are to blame themselves.

    Raises:
        EzavError: an encoder failed on the first clips; nothing is recorded of them.
    """
    worked: set[str] = set()
    suspects: list[tuple[int, EncodedClip]] = []
    for index, clip in encoded:
        worked |= clip.tokens.keys()
        if index not in again:
            suspects.append((index, clip))
        else:
            yield index, clip
        yield from (one for one in suspects if one[1].failed.keys() <= worked)
        suspects = [one for one in suspects if not one[1].failed.keys() <= worked]
        _check_suspects(suspects, worked, _SUSPECTS, proven)
    _check_suspects(suspects, worked | set(proven), 1, proven)
    yield from suspects


def _check_suspects(
    suspects: Sequence[tuple[int, EncodedClip]],
    trusted: Collection[str],
    most: int,
    proven: Collection[str],
) -> None:
    """Raise if an encoder that is not trusted has failed on so many clips."""
    blamed: dict[str, list[EncodedClip]] = {}
    for _, clip in suspects:
        for slot in clip.failed.keys() - trusted:
            blamed.setdefault(slot, []).append(clip)
    for slot, clips in blamed.items():
        if len(clips) >= most:
            raise _does_not_work(clips[0], slot, slot in proven)


def _does_not_work(clip: EncodedClip, slot: str, proven: bool) -> EzavError:
    # A store that has features takes no other encoder.
    way = (
        "mend it, or take away the clips that it cannot take"
        if proven
        else "mend it or choose another"
    )
    return EzavError(
        f"an encoder does not work: {clip.failed[slot]} (clip '{clip.path}')",
        f"{way}; these clips were not recorded",
    )


def _nothing_readable(failed: dict[str, str], items: Sequence[Item]) -> EzavError:
    clip = next(item.clip for item in items if item.clip in failed)
    return EzavError(
        f"none of {len(items)} clips could be read, the first because: '{clip}': {failed[clip]}",
        "check that these are recordings; --retry tries them again",
    )
