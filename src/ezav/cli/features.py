"""Look into feature stores, check them, and merge the parts of one data set.

`info` says what a store holds; `verify` reads every byte and compares it with the index
(status 1 if anything is wrong); `merge` writes one store out of several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.progress import Progress
from rich.text import Text

from ezav.cli.common import Command, output, progress

_MOST_PROBLEMS = 20
_MOST_REASONS = 10


@dataclass(kw_only=True)
class Info(Command):
    """What a store holds: data set, encoders, splits, classes, unreadable clips."""

    store: tyro.conf.Positional[Path]
    """A feature store."""

    def run(self) -> dict[str, Any]:
        return describe(self.store)

    def show(self, result: dict[str, Any]) -> None:
        from rich.table import Table

        header = result["header"]
        lines = [
            ("data set", " ".join(filter(None, (header["dataset"], header["setting"])))),
            *((e["modality"], f"{e['name']} {e['revision']} ({e['dimension']}-d)")
              for e in header["encoders"] if e["modality"] != "text"),
            ("text", ", ".join(result["class_embeddings"]) or "none"),
            ("splits made", _origin(header["splits"])),
            ("tokens a clip", ", ".join(f"{m} {t}" for m, t in result["tokens"].items())),
            ("missing", ", ".join(f"{m} {n}" for m, n in result["missing"].items())),
            ("unreadable", str(result["unreadable"])),
            ("on disk", f"{result['bytes'] / 1e6:.1f} MB in {result['shards']} shards"),
            ("made with", f"{header['created_with']}, format version {header['format_version']}"),
            ("fingerprint", result["fingerprint"]),
        ]  # fmt: skip
        if header["simulated"]:
            lines.insert(1, ("simulated", "yes: random features, good for trying the machinery"))
        if not result["whole"]:
            lines.insert(1, ("part", "a part of a data set: ezav features merge joins them"))
        table = Table(box=None, show_header=False)
        for name, text in lines:
            table.add_row(name, text)
        output.print(table)
        splits = Table("split", "classes", "clips", box=None)
        for split, counts in result["splits"].items():
            splits.add_row(split, str(counts["classes"]), str(counts["clips"]))
        output.print(splits)
        for clip, reason in list(result["failed"].items())[:_MOST_REASONS]:
            output.print(f"unreadable: {clip}: {reason}")
        if len(result["failed"]) > _MOST_REASONS:
            output.print(f"and {len(result['failed']) - _MOST_REASONS} more (--json lists all)")


@dataclass(kw_only=True)
class Verify(Command):
    """Read every byte of a store and compare it with its index."""

    store: tyro.conf.Positional[Path]
    """A feature store."""

    def run(self) -> dict[str, Any]:
        from ezav.features.verify import verify_store

        with bar("shards") as on_progress:
            found = verify_store(self.store, on_progress)
        return {
            "store": str(self.store),
            "clips": found.clips,
            "shards": found.shards,
            "problems": list(found.problems),
            "status": 0 if found.sound else 1,
        }

    def show(self, result: dict[str, Any]) -> None:
        problems = result["problems"]
        for problem in problems[:_MOST_PROBLEMS]:
            output.print(Text("wrong:", "red"), problem)
        if len(problems) > _MOST_PROBLEMS:
            output.print(f"and {len(problems) - _MOST_PROBLEMS} more (--json lists all)")
        verdict = f"{len(problems)} problems" if problems else "sound"
        output.print(
            f"{result['store']}: {result['clips']} clips in {result['shards']} shards: {verdict}"
        )


@dataclass(kw_only=True)
class Merge(Command):
    """Write one store with the clips of several."""

    stores: tyro.conf.Positional[list[Path]]
    """Finished stores of one data set, made with the same encoders."""
    out: Path
    """The store to write."""
    part: bool = False
    """The result is still a part of the data set: leave its splits unchecked."""

    def run(self) -> dict[str, Any]:
        from ezav.features.merge import merge_stores

        with bar("clips") as on_progress:
            merge_stores(self.stores, self.out, whole=not self.part, on_progress=on_progress)
        return describe(self.out)

    def show(self, result: dict[str, Any]) -> None:
        clips = sum(counts["clips"] for counts in result["splits"].values())
        output.print(
            f"{self.out}: {clips} clips of {len(result['classes'])} classes, "
            f"{result['unreadable']} unreadable"
        )


CLI = (
    Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
)


def describe(path: Path) -> dict[str, Any]:
    """What a store holds, as JSON-ready data."""
    import pyarrow.compute as pc

    from ezav.features.store import FeatureStore

    store = FeatureStore.open(path)
    ok = store.index.filter(pc.equal(store.index.column("status"), "ok"))
    failed = store.index.filter(pc.not_equal(store.index.column("status"), "ok"))
    tokens, missing = {}, {}
    for modality in ("audio", "visual"):
        counts = ok.column(f"{modality}_tokens")
        least, most = (pc.min_max(counts)[key].as_py() for key in ("min", "max"))
        tokens[modality] = str(least) if least == most else f"{least}–{most}"
        missing[modality] = pc.sum(pc.equal(counts, 0)).as_py()
    return {
        "store": str(path),
        "header": store.header.model_dump(mode="json"),
        "classes": list(store.classes),
        "class_embeddings": list(store.encoders),
        "splits": {
            split: {"classes": len(store.split_classes(split)), "clips": clips}
            for split, clips in store.splits.items()
        },
        "tokens": tokens,
        "missing": missing,
        "unreadable": store.contents.unreadable,
        "failed": dict(zip(failed.column("clip").to_pylist(), failed.column("reason").to_pylist())),
        "whole": store.contents.whole,
        "shards": len(store.contents.shards),
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "fingerprint": store.fingerprint,
    }


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, fed with (done, in all)."""
    with Progress(console=progress, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _origin(splits: dict[str, Any] | None) -> str:
    if splits is None:
        return "not recorded"
    seed = "" if splits["seed"] is None else f", seed {splits['seed']}"
    detail = f" ({splits['detail']})" if splits["detail"] else ""
    return f"{splits['how']}{seed}{detail}"
