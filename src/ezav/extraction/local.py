"""`extract`: labelled videos to a feature store, in parallel, resumable at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.base import EncoderCard
from ezav.encoders.registry import load_audio, load_text, load_visual
from ezav.errors import EzavError
from ezav.extraction.batch import EncoderSpec, on_device, placed
from ezav.extraction.encode import OK, EncodedClip
from ezav.extraction.listing import Item, list_videos
from ezav.extraction.on_ray import RayPool
from ezav.extraction.parts import Shard, take_parts
from ezav.extraction.pool import Limits, WorkerPool
from ezav.extraction.report import ExtractionReport, Progress, read_report
from ezav.extraction.splitting import check_continues, final_splits, splitter
from ezav.features.header import EncoderInfo, Header
from ezav.features.writer import StoreWriter

_SUSPECTS = 3
"""Clips on which an encoder may fail before it has encoded any."""


def extract(
    videos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    visual: str | EncoderSpec = "statistics",
    audio: str | EncoderSpec = "statistics",
    text: str | Sequence[str] = "minilm",
    unseen: Collection[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
    gpus: float = 0,
    shard: str | None = None,
    limits: Limits = Limits(),  # noqa: B008
    retry: bool = False,
    use_damaged: bool = False,
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
        visual, audio: encoders by name or import path.
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
        retry: try again the clips that could not be read earlier.
        use_damaged: use files that are cut short, with a note, instead of leaving them out.
        allow_outside: accept manifest paths that lead out of its folder.
        on_progress: called after every clip.

    Raises:
        EzavError: a wrong listing, splits that make no benchmark, an encoder that cannot be
            loaded, a store made with other settings, nothing readable, a full disk.

    Example:
        >>> extract("no/such/folder", "store")
        Traceback (most recent call last):
        ...
        ezav.errors.EzavError: there is no folder or manifest 'no/such/folder'; give a folder ...
    """
    out = Path(out)
    listing = list_videos(videos, allow_outside=allow_outside)
    splits_of, origin = splitter(listing, unseen, seed, Path(videos))
    splits_of(listing.items)  # what is wrong with the classes is said before hours of work
    part = None if shard is None else Shard.parse(shard)
    items = listing.items if part is None else part.of(listing.items)
    if not items:
        raise EzavError(f"shard {shard} has no clips", f"there are {len(listing.items)} in all")
    specs = [EncoderSpec(e) if isinstance(e, str) else e for e in (visual, audio)]
    looks, specs[0] = _look_up(specs[0], load_visual, device)
    sounds, specs[1] = _look_up(specs[1], load_audio, device)
    classes = class_embeddings(listing.classes, (text,) if isinstance(text, str) else text)
    header = Header(
        dataset=listing.name,
        setting=_setting(visual=specs[0], audio=specs[1]),
        encoders=(_info("visual", looks), _info("audio", sounds)),
        splits=origin,
    )
    if part is not None:
        out = part.folder(out)
    check_continues(out, origin, listing)
    if part is None:
        take_parts(out, header)
    with StoreWriter(out, header) as writer:
        again = writer.failed if retry else {}
        done = {clip for clip in writer.done if clip not in again}
        todo = [item for item in items if item.clip not in done]
        begun = time.monotonic()
        media_seconds = 0.0
        if todo:
            pool: WorkerPool | RayPool
            if engine == "ray":
                pool = RayPool(
                    *specs,
                    workers=workers or 1,
                    gpus=gpus,
                    limits=limits,
                    use_damaged=use_damaged,
                    address=ray_address,
                )
            else:
                pool = WorkerPool(
                    placed(specs[0], load_visual),
                    placed(specs[1], load_audio),
                    workers=workers,
                    limits=limits,
                    use_damaged=use_damaged,
                )
            with pool:
                finished = pool.encode([item.path for item in todo])
                finished = _encoders_work(finished)
                for count, (index, clip) in enumerate(finished, start=1):
                    _add(writer, todo[index], clip)
                    media_seconds += clip.duration
                    if on_progress is not None:
                        on_progress(Progress(count, len(todo), clip))
        seconds = time.monotonic() - begun
        failed = writer.failed
        readable = [item for item in items if item.clip not in failed]
        if not readable:
            raise _nothing_readable(failed, items)
        splits, origin = final_splits(splits_of, origin, listing, readable, part is None)
        gone = set(writer.done) - {item.clip for item in items}
        writer.finish(
            splits,
            classes,
            split_origin=origin,
            leave_out=gone,
            whole=part is None,
        )
    return read_report(
        out,
        listed=len(items),
        earlier=len(items) - len(todo),
        added=len(todo),
        gone=len(gone),
        passed_over=listing.passed_over,
        media_seconds=media_seconds,
        seconds=seconds,
    )


def class_embeddings(names: Sequence[str], encoders: Sequence[str]) -> list[ClassEmbeddings]:
    """The class names in each text encoder's space; `_` is read as a space.

    Raises:
        EzavError: no encoder is named, or one cannot be loaded.
    """
    if not encoders:
        raise EzavError("no text encoder is named", "the default is minilm")
    found = []
    for name in encoders:
        encoder = load_text(name)
        vectors = encoder.encode([name.replace("_", " ") for name in names])
        prompts = {"templates": list(encoder.card.templates)} if encoder.card.templates else {}
        found.append(ClassEmbeddings(tuple(names), vectors, encoder.card.label, prompts))
    return found


def _encoders_work(
    finished: Iterator[tuple[int, EncodedClip]],
) -> Iterator[tuple[int, EncodedClip]]:
    """Pass the clips on; but an encoder that fails on all of them is an error, not their fault.

    Raises:
        EzavError: an encoder failed on the first clips; nothing is recorded of them.
    """
    suspects: list[tuple[int, EncodedClip]] = []
    for index, clip in finished:
        if clip.encoder_failed:
            suspects.append((index, clip))
            if len(suspects) >= _SUSPECTS:
                break
        else:
            yield index, clip
        if clip.status == OK:
            yield from suspects
            yield from finished
            return
    if suspects:
        raise EzavError(
            f"an encoder does not work: {suspects[0][1].reason} (clip '{suspects[0][1].path}')",
            "mend it or choose another; these clips were not recorded",
        )


def _add(writer: StoreWriter, item: Item, clip: EncodedClip) -> None:
    writer.add(
        clip=item.clip,
        class_name=item.class_name,
        audio=clip.audio,
        visual=clip.visual,
        duration=clip.duration or None,
        path=item.clip,
        status=clip.status,
        reason=clip.reason,
    )


def _look_up(
    spec: EncoderSpec, load: Callable[..., Any], device: str
) -> tuple[EncoderCard, EncoderSpec]:
    """The encoder's card, and its spec on that device; the encoder itself is let go."""
    encoder = load(spec.name, **spec.options)
    return encoder.card, on_device(spec, encoder, device)


def _setting(**specs: EncoderSpec) -> str:
    """What distinguishes these features from others of the same encoders."""
    given = [
        f"{kind} {key}={value}"
        for kind, spec in specs.items()
        for key, value in sorted(spec.options.items())
        if key not in {"device", "batch_size"}  # these do not change the features
    ]
    return f"main ({', '.join(given)})" if given else "main"


def _info(modality: str, card: EncoderCard) -> EncoderInfo:
    return EncoderInfo.model_validate(
        {
            "modality": modality,
            "name": card.name,
            "revision": card.revision,
            "dimension": card.dimension,
        }
    )


def _nothing_readable(failed: dict[str, str], items: Sequence[Item]) -> EzavError:
    clip = next(item.clip for item in items if item.clip in failed)
    return EzavError(
        f"none of {len(items)} clips could be read, the first because: '{clip}': {failed[clip]}",
        "check that these are recordings; --retry tries them again",
    )
