"""What one extraction is to do: the clips, their classes and splits, and the stores they go to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.descriptions import Descriptions, check_known, encode_described
from ezav.encoders.legible import unread_of
from ezav.encoders.names import read_otherwise
from ezav.encoders.registry import load_text
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction.encoded import OK
from ezav.extraction.listing import Item, Listing, in_utf8, list_videos
from ezav.extraction.pairs import Encoders, PairStore, Slots
from ezav.extraction.parts import Shard, take_parts
from ezav.extraction.report import Begun
from ezav.extraction.resume import changed_files, check_classes, file_sizes, finished
from ezav.extraction.settings import ExtractSettings
from ezav.extraction.splitting import Splitter, check_continues, splitter
from ezav.features.describe import kept_descriptions
from ezav.features.header import SplitOrigin
from ezav.features.redraw import named_unseen
from ezav.features.unread import remarks_of
from ezav.features.writer import StoreWriter
from ezav.media.codec import require_torchcodec


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known before the first file is read.

    Attributes:
        listing: every clip.
        items: those that this call is to do, or has done: its part.
        splits_of, origin: how the clips are split, and how to say so.
        part: which part of the extraction this is; None for the whole.
        slots: the encoders, and the pairs that stores are made of.
        folders: of these stores.
        classes: the class names in each text encoder's space.
        sizes: clip -> bytes of its file.
        settings: how it is done.
    """

    listing: Listing
    items: tuple[Item, ...]
    splits_of: Splitter
    origin: SplitOrigin
    part: Shard | None
    slots: Slots
    folders: tuple[Path, ...]
    classes: tuple[ClassEmbeddings, ...]
    sizes: dict[str, int]
    settings: ExtractSettings

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the text encoders cannot read of the class names, or not tell apart; each once."""
        told = (line for one in self.classes for line in remarks_of(one))
        return tuple(dict.fromkeys(told))

    @property
    def begun(self) -> Begun:
        """What is told before the first clip."""
        splits = self.splits_of(self.listing.items)
        of: dict[str, set[str]] = {}
        for item in self.listing.items:
            of.setdefault(splits[item.clip], set()).add(item.class_name)
        return Begun(
            unseen=tuple(sorted(of.get("test_unseen", ()))),
            validating=tuple(sorted(of.get("val_unseen", ()))),
            drawn=self.origin.how == "drawn" and self.settings.unseen is None,
            closed="test_unseen" not in of,
            remarks=self.remarks,
            read=dict(self.classes[0].settings.get("read", {})) if self.classes else {},
        )


def plan(
    videos: Path,
    out: Path,
    visual: Encoders,
    audio: Encoders,
    text: Encoders,
    settings: ExtractSettings,
    descriptions: Descriptions | None = None,
) -> Plan:
    """Look at everything that can be wrong before hours of work.

    Raises:
        EzavError: a wrong listing, splits that make no benchmark, an encoder that cannot be loaded,
            descriptions of other classes.
    """
    if settings.workers is not None and settings.workers < 1:
        raise EzavError(f"`workers` must be at least 1, not {settings.workers}")
    listing = list_videos(videos, allow_outside=settings.allow_outside, groups=settings.groups)
    if descriptions:
        check_known(descriptions, listing.classes, "the set of descriptions")
    unseen = named_unseen(settings.unseen, listing.classes)
    splits_of, origin = splitter(listing, unseen, settings.seed, videos)
    splits_of(listing.items)  # what is wrong with the classes is said now
    part = None if settings.shard is None else Shard.parse(settings.shard)
    items = listing.items if part is None else part.of(listing.items)
    if settings.decoder == "torchcodec":
        require_torchcodec()
    slots = Slots.of(visual, audio, settings.device)
    whole = slots.folders(out)
    folders = [folder if part is None else part.folder(folder) for folder in whole]
    if not descriptions:  # those of an earlier call
        descriptions = next(filter(None, map(kept_descriptions, (*folders, *whole))), {})
        if descriptions:
            check_known(descriptions, listing.classes, "the store's set of descriptions")
    return Plan(
        listing=listing,
        items=items,
        splits_of=splits_of,
        origin=origin,
        part=part,
        slots=slots,
        folders=tuple(folders),
        # Of a part without clips nothing is written.
        classes=tuple(class_embeddings(listing.classes, text, descriptions)) if items else (),
        sizes=file_sizes(items),
        settings=settings,
    )


def open_stores(made: Plan, stack: ExitStack) -> list[PairStore]:
    """The stores of a plan, each with what it has already; the stack closes their writers.

    Raises:
        EzavError: a store was made with other settings, or a finished part cannot be taken over.
    """
    stores = []
    for pair, folder in zip(made.slots.pairs, made.folders):
        header = made.slots.header(pair, made.listing, made.origin, made.settings.notes)
        if (shown := in_utf8(str(folder))) != str(folder):
            raise EzavError(f"the path of the store '{shown}' is not in UTF-8", "give another")
        check_continues(folder, made.origin)
        if made.part is None:
            take_parts(folder, header, made.listing)
        writer = stack.enter_context(StoreWriter(folder, header))
        labels = {r.clip: r.class_name for r in writer.records.values() if r.status == OK}
        check_classes(folder, labels, made.listing)
        replaced = changed_files(folder, writer.records, made.sizes)
        done = finished(writer.records, made.listing, replaced, made.settings)
        stores.append(PairStore(pair, writer, made.settings.half, done, replaced & done))
    return stores


def still_to_do(made: Plan, stores: Collection[PairStore]) -> list[Item]:
    """The clips that a store lacks."""
    done = set.intersection(*(store.done for store in stores))
    return [item for item in made.items if item.clip not in done]


def class_embeddings(
    names: Sequence[str], encoders: Encoders, descriptions: Descriptions | None = None
) -> list[ClassEmbeddings]:
    """The class names, or what is behind them, in each text encoder's space.

    Names are split into words (:func:`ezav.encoders.names.readable_name`); the settings keep what
    was read in a name's place.

    Raises:
        EzavError: no encoder is named, or one cannot be loaded.

    Example:
        >>> [made] = class_embeddings(["dog_barking", "rain"], "minilm")
        >>> made.names, made.dim
        (('dog_barking', 'rain'), 384)
    """
    several = [encoders] if isinstance(encoders, str | EncoderSpec) else encoders
    if not several:
        raise EzavError("no text encoder is named", "the default is minilm")
    found = []
    for one in several:
        spec = EncoderSpec.parse(one).resolved()
        encoder = load_text(spec.name, **spec.options)
        vectors = encode_described(encoder, names, descriptions)
        settings: dict[str, object] = {}
        if encoder.card.templates:
            settings["templates"] = list(encoder.card.templates)
        if options := spec.without("prompts").settings:
            settings["options"] = options
        if encoder.card.identity:
            settings["identity"] = encoder.card.identity
        if unread := unread_of([encoder], names, descriptions):
            settings["unread"] = unread
        if descriptions:
            settings["descriptions"] = {name: list(lines) for name, lines in descriptions.items()}
        if read := read_otherwise(names, descriptions or ()):
            settings["read"] = read
        label = f"{spec.name}@{encoder.card.revision}"  # how it is found again
        found.append(ClassEmbeddings(tuple(names), vectors, label, settings))
    return found
