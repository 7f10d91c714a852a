"""What an extraction did, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ezav.extraction.encoded import EncodedClip
from ezav.extraction.listing import Listing
from ezav.features.splits import SPLITS
from ezav.features.store import FeatureStore


@dataclass(frozen=True, slots=True)
class Progress:
    """Told after every clip.

    Attributes:
        done: clips finished in this call.
        total: clips that this call had to do.
        clip: the one just finished.
    """

    done: int
    total: int
    clip: EncodedClip


@dataclass(frozen=True, slots=True)
class Begun:
    """Told once, before the first clip is read.

    Attributes:
        unseen: classes that are never trained on.
        validating: classes that only validate: stage 1 takes them for unseen ones.
        drawn: whether the two were drawn; else the caller or the manifest named the unseen ones.
        remarks: what the text encoders cannot read of the class names, or not tell apart.
        closed: every class is trained on.
        read: class name -> what text encoders read, where that is another spelling.
    """

    unseen: tuple[str, ...]
    validating: tuple[str, ...]
    drawn: bool
    remarks: tuple[str, ...]
    closed: bool = False
    read: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip that gave no features."""

    clip: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """The result of :func:`ezav.extraction.extract`.

    Attributes:
        store: the feature store's folder; not made where there is a `note`.
        listed: clips in the folder or manifest.
        earlier: of these, done by earlier calls.
        added: done by this call, whatever became of them.
        gone: clips of the store that are listed no more; it does not show them any longer.
        replaced: clips whose files have another size than when they were read; their features
            are still those of the old files.
        readable: clips with features.
        failures: all clips of the store without, each with its reason.
        no_audio, no_visual: readable clips that lack a modality.
        notes: clip -> remark, of readable clips with something wrong.
        splits: split -> (classes, clips).
        passed_over: extension -> files that are no recordings by their names.
        empty: class folders without a recording.
        media_seconds: length of what this call decoded.
        seconds: wall time of decoding and encoding.
        fingerprint: of the store; empty where none was made.
        note: why there was nothing to do; otherwise empty.
        remarks: what the text encoders cannot read of the class names, or not tell apart.
        others: the reports of the further stores, where several encoders were given.
    """

    store: Path
    listed: int
    earlier: int
    added: int
    gone: int
    replaced: tuple[str, ...]
    readable: int
    failures: tuple[Failure, ...]
    no_audio: int
    no_visual: int
    notes: dict[str, str]
    splits: dict[str, tuple[int, int]]
    passed_over: dict[str, int]
    empty: tuple[str, ...]
    media_seconds: float
    seconds: float
    fingerprint: str
    note: str = ""
    remarks: tuple[str, ...] = ()
    others: tuple[ExtractionReport, ...] = ()

    @property
    def clips_per_second(self) -> float:
        """Clips that this call did, a second."""
        return self.added / self.seconds if self.seconds else 0.0

    @property
    def times_real_time(self) -> float:
        """Seconds of recordings for each second of work."""
        return self.media_seconds / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        result = asdict(replace(self, others=()))
        result["store"] = str(self.store)
        result["splits"] = {
            name: {"classes": classes, "clips": clips}
            for name, (classes, clips) in self.splits.items()
        }
        return result | {
            "others": [other.to_dict() for other in self.others],
            "clips_per_second": self.clips_per_second,
            "times_real_time": self.times_real_time,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one call did: of :class:`ExtractionReport` that which no index tells."""

    listed: int
    added: int
    media_seconds: float
    seconds: float
    gone: int = 0
    replaced: tuple[str, ...] = ()


def empty_report(path: Path, listing: Listing, note: str) -> ExtractionReport:
    """The report where no store was made, since there was nothing to do."""
    return ExtractionReport(
        store=path,
        listed=0,
        earlier=0,
        added=0,
        gone=0,
        replaced=(),
        readable=0,
        failures=(),
        no_audio=0,
        no_visual=0,
        notes={},
        splits=dict.fromkeys(SPLITS, (0, 0)),
        passed_over=listing.passed_over,
        empty=listing.empty,
        media_seconds=0.0,
        seconds=0.0,
        fingerprint="",
        note=note,
    )


def read_report(path: Path, listing: Listing, done: Done) -> ExtractionReport:
    """The report of a finished store; what the index says is read from the index."""
    store = FeatureStore.open(path)
    failures: list[Failure] = []
    notes: dict[str, str] = {}
    no_audio = no_visual = 0
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    columns = ("clip", "class", "split", "audio_tokens", "visual_tokens", "status", "reason")
    for row in store.index.select(columns).to_pylist():
        if row["status"] != "ok":
            failures.append(Failure(row["clip"], row["status"], row["reason"]))
            continue
        no_audio += row["audio_tokens"] == 0
        no_visual += row["visual_tokens"] == 0
        if row["reason"]:
            notes[row["clip"]] = row["reason"]
        members[row["split"]].append(row["class"])
    return ExtractionReport(
        store=path,
        listed=done.listed,
        earlier=done.listed - done.added,
        added=done.added,
        gone=done.gone,
        replaced=done.replaced,
        readable=store.index.num_rows - len(failures),
        failures=tuple(failures),
        no_audio=no_audio,
        no_visual=no_visual,
        notes=notes,
        splits={split: (len(set(names)), len(names)) for split, names in members.items()},
        passed_over=listing.passed_over,
        empty=listing.empty,
        media_seconds=done.media_seconds,
        seconds=done.seconds,
        fingerprint=store.fingerprint,
    )
