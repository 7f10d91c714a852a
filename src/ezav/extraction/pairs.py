"""The stores that one extraction writes: one for each pair of a visual and an audio encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard
from ezav.encoders.registry import load_audio, load_visual
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction.batch import on_device
from ezav.extraction.encoded import EncodedClip, slotted
from ezav.extraction.listing import Item, Listing
from ezav.features.header import EncoderInfo, Header, SplitOrigin
from ezav.features.writer import StoreWriter

Encoders = str | EncoderSpec | Sequence[str | EncoderSpec]
"""One encoder or several: names with options, or specs."""


@dataclass(slots=True)
class Slots:
    """The encoders of one pass, each of them once, and the pairs that stores are made of.

    Attributes:
        specs: slot ("visual", "visual 2", "audio", …) -> encoder, on its device.
        cards: slot -> its card.
        pairs: (visual slot, audio slot) of each store.
    """

    specs: dict[str, EncoderSpec]
    cards: dict[str, EncoderCard]
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, visual: Encoders, audio: Encoders, device: str) -> Slots:
        """Look the encoders up; each is loaded once, to see that it works, and let go.

        The first visual encoder goes with the first audio encoder, and so on; a single one goes
        with all of the other kind.

        Raises:
            EzavError: an encoder cannot be loaded, or their numbers do not fit.
        """
        looks, sounds = _parsed(visual), _parsed(audio)
        count = max(len(looks), len(sounds))
        if not looks or not sounds or {len(looks), len(sounds)} - {1, count}:
            raise EzavError(
                f"{len(looks)} visual and {len(sounds)} audio encoders make no pairs",
                "name as many of each, or one that goes with all of the other kind",
            )
        specs = slotted(_unique(looks), _unique(sounds))
        names = {
            kind: [_slot(specs, kind, spec) for spec in (given * count)[:count]]
            for kind, given in (("visual", looks), ("audio", sounds))
        }
        cards = {}
        for slot, spec in specs.items():
            load: Callable[..., Any] = load_visual if slot.startswith("visual") else load_audio
            encoder = load(spec.name, **spec.options)
            cards[slot] = encoder.card
            specs[slot] = on_device(spec, encoder, device)
        pairs = tuple(dict.fromkeys(zip(names["visual"], names["audio"])))
        return cls(specs, cards, pairs)

    def of_kind(self, kind: str) -> list[EncoderSpec]:
        """The specs of a kind, in the order of their slots."""
        return [spec for slot, spec in self.specs.items() if slot.startswith(kind)]

    def folders(self, out: Path) -> list[Path]:
        """Where the stores go: `out`, or folders in it named after their encoders."""
        if len(self.pairs) == 1:
            return [out]
        names = [
            "+".join(self.specs[slot].name.rpartition(":")[2] for slot in pair)
            for pair in self.pairs
        ]
        # The same encoder with other options: clip+clap, clip+clap-2.
        numbers = [names[:at].count(name) + 1 for at, name in enumerate(names)]
        return [
            out / (name if number == 1 else f"{name}-{number}")
            for name, number in zip(names, numbers)
        ]

    def header(
        self, pair: tuple[str, str], listing: Listing, origin: SplitOrigin, notes: Sequence[str]
    ) -> Header:
        """Of the store of that pair; `notes` are further settings that change its features."""
        infos = [
            EncoderInfo.model_validate(
                {
                    "modality": self.cards[slot].kind,
                    "name": self.specs[slot].name,  # how it is found again, whatever its card says
                    "revision": self.cards[slot].revision,
                    "identity": self.cards[slot].identity,
                    "dimension": self.cards[slot].dimension,
                    "options": self.specs[slot].settings,
                }
            )
            for slot in pair
        ]
        return Header(
            dataset=listing.name,
            setting=self._setting(pair, notes),
            encoders=tuple(infos),
            splits=origin,
        )

    def _setting(self, pair: tuple[str, str], notes: Sequence[str]) -> str:
        """What distinguishes these features from others of the same encoders."""
        given = [
            f"{slot.split()[0]} {part}"
            for slot in pair
            for part in self.specs[slot].without("source", "revision").settings.split(",")
            if part
        ]
        given += notes
        return f"main ({', '.join(given)})" if given else "main"


@dataclass(slots=True)
class PairStore:
    """One store that is being written.

    Attributes:
        pair: the slots of its encoders.
        writer: of the store.
        half: whether features are stored in half precision.
        done: clips that need not be done again.
        replaced: of these, the ones whose files have another size now.
    """

    pair: tuple[str, str]
    writer: StoreWriter
    half: bool
    done: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)

    @property
    def worked(self) -> set[str]:
        """The slots of the encoders that gave it features."""
        visual, audio = self.pair
        records = self.writer.records.values()
        found = {visual: any(record.visual_tokens for record in records)}
        found[audio] = any(record.audio_tokens for record in records)
        return {slot for slot, any_ in found.items() if any_}

    def add(self, item: Item, clip: EncodedClip) -> None:
        """Write what the pair's encoders gave, unless the store has the clip."""
        if item.clip in self.done:
            return
        clip = clip.of_pair(*self.pair)
        self.writer.add(
            clip=item.clip,
            class_name=item.class_name,
            audio=self._stored(clip.audio, item),
            visual=self._stored(clip.visual, item),
            duration=clip.duration or None,
            path=item.clip,
            status=clip.status,
            reason=clip.reason,
        )

    def _stored(self, tokens: Encoded | None, item: Item) -> Encoded | None:
        if tokens is None or not self.half:
            return tokens
        with np.errstate(over="ignore"):
            values = tokens.values.astype(np.float16)
        if not np.isfinite(values).all():
            raise EzavError(
                f"clip '{item.clip}' has features beyond the range of half precision",
                "leave out `half=True`, and write another store",
            )
        return Encoded(values, tokens.times)


def _parsed(given: Encoders) -> list[EncoderSpec]:
    several = [given] if isinstance(given, str | EncoderSpec) else given
    return [EncoderSpec.parse(one).resolved() for one in several]


def _unique(specs: Sequence[EncoderSpec]) -> list[EncoderSpec]:
    found: list[EncoderSpec] = []
    for spec in specs:
        if spec not in found:
            found.append(spec)
    return found


def _slot(specs: dict[str, EncoderSpec], kind: str, wanted: EncoderSpec) -> str:
    return next(s for s, spec in specs.items() if s.startswith(kind) and spec == wanted)
