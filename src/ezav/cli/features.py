"""Look into feature stores, check them, and merge the parts of one data set.

`info` says what a store holds; `verify` reads every byte and compares it with the index
(status 1 if anything is wrong); `merge` writes one store out of several; `describe` lets the
text encoders read descriptions in the place of the class names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.text import Text

from ezav.cli.common import Command, Importing, bar, output
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.features.header import Header, SplitOrigin

_MOST_PROBLEMS = 20
_MOST_REASONS = 10


@dataclass(frozen=True)
class SplitCounts:
    """How much is in a split."""

    classes: int
    clips: int


@dataclass(frozen=True, kw_only=True)
class StoreDescription:
    """What a feature store holds.

    Attributes:
        store: its folder.
        header: what it says about itself.
        classes: all names.
        class_embeddings: text encoders whose class embeddings it holds.
        splits: name -> classes and clips.
        tokens: modality -> tokens a clip, as a number or a range.
        missing: modality -> clips that lack it.
        unreadable: how many clips could not be read.
        failed: clip -> why it could not be read.
        whole: it is no part of a data set.
        shards, bytes: on disk.
        fingerprint: of its contents.
    """

    store: Path
    header: Header
    classes: tuple[str, ...]
    class_embeddings: tuple[str, ...]
    splits: dict[str, SplitCounts]
    tokens: dict[str, str]
    missing: dict[str, int]
    unreadable: int
    failed: dict[str, str]
    whole: bool
    shards: int
    bytes: int
    fingerprint: str


@dataclass(kw_only=True)
class Info(Command):
    """What a store holds: data set, encoders, splits, classes, unreadable clips."""

    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Show what is in this feature store."""

    def run(self) -> StoreDescription:
        return describe(self.store)

    def show(self, result: StoreDescription) -> None:
        from rich.table import Table

        from ezav.features.simulated import simulated_banner

        header = result.header
        lines: list[tuple[str, str]] = [
            ("data set", " ".join(filter(None, (header.dataset, header.setting)))),
            *((e.modality, f"{e.name} {e.revision} ({e.dimension}-d)")
              for e in header.encoders if e.modality != "text"),
            ("text", ", ".join(result.class_embeddings) or "none"),
            ("splits made", _origin(header.splits)),
            ("tokens a clip", ", ".join(f"{m} {t}" for m, t in result.tokens.items())),
            ("missing", ", ".join(f"{m} {n}" for m, n in result.missing.items())),
            ("unreadable", str(result.unreadable)),
            ("on disk", f"{result.bytes / 1e6:.1f} MB in {result.shards} shards"),
            ("made with", f"{header.created_with}, format version {header.format_version}"),
            ("fingerprint", result.fingerprint),
        ]  # fmt: skip
        if header.simulated:
            lines.insert(1, ("simulated", simulated_banner()))
        if not result.whole:
            lines.insert(1, ("part", "a part of a data set: ezav features merge joins them"))
        table = Table(box=None, show_header=False)
        for name, text in lines:
            table.add_row(name, text)
        output.print(table)
        splits = Table("split", "classes", "clips", box=None)
        for split, counts in result.splits.items():
            splits.add_row(split, str(counts.classes), str(counts.clips))
        output.print(splits)
        for clip, reason in list(result.failed.items())[:_MOST_REASONS]:
            output.print(f"unreadable: {clip}: {reason}")
        if len(result.failed) > _MOST_REASONS:
            output.print(f"and {len(result.failed) - _MOST_REASONS} more (--json lists all)")


@dataclass(frozen=True)
class VerifyResult:
    """What was read, and what is wrong with it."""

    store: Path
    clips: int
    shards: int
    problems: tuple[str, ...]

    @property
    def status(self) -> int:
        """1 where anything is wrong."""
        return 1 if self.problems else 0


@dataclass(kw_only=True)
class Verify(Command):
    """Read every byte of a store and compare it with its index."""

    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Check the files of this feature store."""

    def run(self) -> VerifyResult:
        from ezav.features.verify import verify_store

        with bar("shards") as on_progress:
            found = verify_store(self.store, on_progress)
        return VerifyResult(self.store, found.clips, found.shards, found.problems)

    def show(self, result: VerifyResult) -> None:
        for problem in result.problems[:_MOST_PROBLEMS]:
            output.print(Text("wrong:", "red"), problem)
        count = len(result.problems)
        if count > _MOST_PROBLEMS:
            output.print(f"and {count - _MOST_PROBLEMS} more (--json lists all)")
        verdict = f"{count} problems" if count else "sound"
        output.print(f"{result.store}: {result.clips} clips in {result.shards} shards: {verdict}")


@dataclass(kw_only=True)
class Merge(Command):
    """Write one store with the clips of several."""

    stores: Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="STORE...")]
    """Merge these finished stores of one data set, made with the same encoders."""
    out: Path
    """Write the merged store into this folder."""
    part: bool = False
    """Leave the splits unchecked: the result is still a part of the data set."""

    def run(self) -> StoreDescription:
        from ezav.features.merge import merge_stores

        with bar("clips") as on_progress:
            merge_stores(self.stores, self.out, whole=not self.part, on_progress=on_progress)
        return describe(self.out)

    def show(self, result: StoreDescription) -> None:
        clips = sum(counts.clips for counts in result.splits.values())
        output.print(
            f"{result.store}: {clips} clips of {len(result.classes)} classes, "
            f"{result.unreadable} unreadable"
        )


@dataclass(kw_only=True)
class Describe(Command):
    """Let a store's text encoders read descriptions in the place of the class names.

    Nothing is extracted again; runs from now on are trained with them.
    """

    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Change this finished feature store."""
    file: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = None
    """Read descriptions from a CSV (name,description,…) or YAML file (name: description, or a list
    of them)."""
    remove: bool = False
    """Read the names themselves again, instead of FILE."""
    device: str = "cpu"
    """Run the text encoders here: `cpu`, `cuda`, or `auto`."""
    import_code: Importing = False

    def run(self) -> StoreDescription:
        from ezav.device import choose_device
        from ezav.encoders.descriptions import read_descriptions
        from ezav.recognizer.described import describe_store

        if (self.file is None) != self.remove:
            raise EzavError("describe takes a file of descriptions, or --remove", "give one")
        behind = {} if self.file is None else read_descriptions(self.file)
        describe_store(
            self.store,
            behind,
            source=f"'{self.file}'",
            device=choose_device(self.device),
            import_code=self.import_code,
        )
        return describe(self.store)

    def show(self, result: StoreDescription) -> None:
        read = "their names" if self.remove else f"the descriptions of '{self.file}'"
        output.print(
            f"{result.store}: {len(result.classes)} classes are read by {read} now "
            f"({', '.join(result.class_embeddings)})"
        )


CLI = (
    Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Describe, tyro.conf.subcommand("describe")]
)


def describe(path: Path) -> StoreDescription:
    """What a store holds.

    Raises:
        EzavError: there is no store, or it is damaged.
    """
    import pyarrow.compute as pc

    from ezav.features.store import FeatureStore

    store = FeatureStore.open(path)
    ok = store.index.filter(pc.equal(store.index.column("status"), "ok"))
    failed = store.index.filter(pc.not_equal(store.index.column("status"), "ok"))
    tokens: dict[str, str] = {}
    missing: dict[str, int] = {}
    for modality in ("audio", "visual"):
        counts = ok.column(f"{modality}_tokens")
        least, most = (pc.min_max(counts)[key].as_py() for key in ("min", "max"))
        tokens[modality] = str(least) if least == most else f"{least}–{most}"
        missing[modality] = pc.sum(pc.equal(counts, 0)).as_py()
    return StoreDescription(
        store=path,
        header=store.header,
        classes=tuple(store.classes),
        class_embeddings=tuple(store.encoders),
        splits={
            split: SplitCounts(len(store.split_classes(split)), clips)
            for split, clips in store.splits.items()
        },
        tokens=tokens,
        missing=missing,
        unreadable=store.contents.unreadable,
        failed=dict(zip(failed.column("clip").to_pylist(), failed.column("reason").to_pylist())),
        whole=store.contents.whole,
        shards=len(store.contents.shards),
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        fingerprint=store.fingerprint,
    )


def _origin(splits: SplitOrigin | None) -> str:
    if splits is None:
        return "not recorded"
    seed = "" if splits.seed is None else f", seed {splits.seed}"
    detail = f" ({splits.detail})" if splits.detail else ""
    return f"{splits.how}{seed}{detail}"
