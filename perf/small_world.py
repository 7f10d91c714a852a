"""A small world of clips, stores and a run, and the commands that write into a folder of it.

For `disk_faults.py` and `two_processes.py`: each :class:`Case` has what its command needs ready
in a folder of its own, and says whether what lies there afterwards is what was there before, what
the command writes, or neither.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # workers import the tests' encoders

from tests.media.files import write_clip
from tests.recognizer import small_run

from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.features import FeatureStore
from ezav.features.merge import merge_stores
from ezav.features.verify import verify_store
from ezav.manifest import differences, files_in, read_manifest
from ezav.protocol.run_folder import read_model
from ezav.recognizer import Recognizer

HERE = "tests.extraction.encoders"
ENCODERS = [
    *("--visual", f"{HERE}:MeanColour", "--audio", f"{HERE}:Level", "--text", f"{HERE}:HashText"),
    *("--workers", "1"),
]
TINY = [
    *("--config.width", "16", "--config.hidden", "16", "--config.heads", "2"),
    *("--config.head-dim", "8", "--config.mlp", "16", "--config.classes.source", "raw"),
    *("--training.epochs", "2", "--training.batches-per-epoch", "2", "--folds", "0"),
]


@dataclass(frozen=True)
class Case:
    """A command, and what it may leave.

    Attributes:
        name: of the row.
        argv: the command, of a folder in which `ready` was called.
        ready: puts what is needed into a new folder.
        state: what the command's result is, as text; "" where there is none; raises EzavError, or
            AssertionError, where what is there is neither whole nor absent.
    """

    name: str
    argv: Callable[[Path], list[str]]
    ready: Callable[[Path], None]
    state: Callable[[Path], str]
    act: Callable[[Path], int] | None = None
    """Done in the place of the command, which is no one call of it."""


def make(root: Path) -> Path:
    """Clips, stores, a run and recordings in a folder; nothing where they are there."""
    world = root / "world"
    if (world / "whole").exists():
        return world
    shutil.rmtree(world, ignore_errors=True)
    for number, name in enumerate(("bell", "cat", "dog", "rain")):
        for take in range(3):
            path = world / "clips" / name / f"{take}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, frames=4, tone=200.0 + 100 * number, rate=8_000)
    store = small_run.media_store(world / "store", world / "lights")
    assert main(["run", "best", str(store.path), "--out", str(world / "run"), "--import"]) == 0
    small_run.write_video(world / "recordings" / "a.mp4", ["blue light", "red light"])
    small_run.write_video(world / "recordings" / "b.mp4", ["white light", "green light"])
    for part in ("one", "two"):
        _part(store, world / part, part == "two")
    lines = ["name,description", *(f"{name},a lamp of {name}" for name in small_run.COLOURS)]
    (world / "described.csv").write_text("\n".join(lines) + "\n")
    (world / "whole").touch()
    return world


def _part(store: FeatureStore, out: Path, second: bool) -> None:
    from ezav.features import StoreWriter

    rows = store.index.to_pylist()
    with StoreWriter(out, store.header) as writer:
        splits = {}
        for at, row in enumerate(rows):
            if at % 2 == second:
                audio, visual = store.shard(row["shard"])
                spans = [slice(*m.offsets[row["row"] : row["row"] + 2]) for m in (audio, visual)]
                parts = [(m.values[s], m.times[s]) for m, s in zip((audio, visual), spans)]
                writer.add(
                    clip=row["clip"], class_name=row["class"], audio=parts[0], visual=parts[1]
                )
                splits[row["clip"]] = row["split"]
        writer.finish(splits, [store.class_embeddings()], whole=False)


def _store(path: Path) -> str:
    if not (path / "index.parquet").exists():
        return ""
    found = verify_store(path)
    assert found.sound, found.problems
    return FeatureStore.open(path).fingerprint


def _run(path: Path) -> str:
    if not path.exists() or not any(path.iterdir()):
        return ""
    read_model(path)
    _as_written(path)
    return "a run"


def _as_written(path: Path) -> None:
    said = read_manifest(path)
    assert said is not None, "no manifest"
    assert not differences(path, said), differences(path, said)
    assert set(said) <= set(files_in(path)), "a file of the manifest is not there"


def _taught(path: Path) -> str:
    if not path.exists() or not any(path.iterdir()):
        return ""
    _as_written(path)
    with Recognizer.load(path, import_code=True) as found:
        return json.dumps(found.taught)


def _tables(*paths: Path) -> str:
    there = []
    for path in paths:
        if path.exists():
            text = path.read_text()
            assert text.endswith("\n") or "</html>" in text[-20:], f"{path.name} is cut short"
            there.append(f"{path.name}: {len(text.splitlines())} lines")
    return ", ".join(there)


def _nothing(path: Path) -> str:
    left = sorted(one.relative_to(path).as_posix() for one in path.rglob("*"))
    assert not left, f"left: {left[:5]}"
    return ""


def cases(world: Path) -> list[Case]:
    """All of them, of a world that :func:`make` made."""

    def copy(*names: str) -> Callable[[Path], None]:
        def ready(folder: Path) -> None:
            folder.mkdir(parents=True)
            for name in names:
                shutil.copytree(world / name, folder / name)

        return ready

    light = next(iter(small_run.COLOURS))
    shown = [str(world / "lights" / light / f"{take}.mp4") for take in (0, 1)]
    store, run = str(world / "store"), str(world / "run")

    def serve(folder: Path) -> int:
        from serve_once import serve_once

        return serve_once(world / "run", Path(shown[0]), folder)

    lesson = ["--class", "a new lamp", *shown, "--import"]
    return [
        Case(
            "extract",
            lambda f: [
                "extract",
                str(world / "clips"),
                "--out",
                str(f / "s"),
                *ENCODERS,
                "--unseen",
                "none",
            ],
            copy(),
            lambda f: _store(f / "s"),
        ),
        Case(
            "features merge",
            lambda f: [
                "features",
                "merge",
                str(world / "one"),
                str(world / "two"),
                "--out",
                str(f / "s"),
            ],
            copy(),
            lambda f: _store(f / "s"),
        ),
        Case(
            "features describe",
            lambda f: ["features", "describe", str(f / "store"), str(world / "described.csv")],
            copy("store"),
            lambda f: _store(f / "store"),
        ),
        Case(
            "run",
            lambda f: ["run", "ez_avgzl", store, "--out", str(f / "r"), *TINY],
            copy(),
            lambda f: _run(f / "r"),
        ),
        Case(
            "teach",
            lambda f: ["teach", str(f / "run"), *lesson],
            copy("run"),
            lambda f: _taught(f / "run"),
        ),
        Case(
            "teach --out",
            lambda f: ["teach", run, *lesson, "--out", str(f / "t")],
            copy(),
            lambda f: _taught(f / "t"),
        ),
        Case(
            "find",
            lambda f: [
                "find",
                run,
                str(f / "recordings"),
                "red light",
                "--import",
                "--workers",
                "1",
                "--out",
                str(f / "found.csv"),
                str(f / "found.html"),
            ],
            copy("recordings"),
            lambda f: _tables(f / "found.csv", f / "found.html"),
        ),
        Case(
            "predict",
            lambda f: [
                "predict",
                run,
                *shown,
                "--import",
                "--workers",
                "1",
                "--out",
                str(f / "a.csv"),
                str(f / "a.html"),
            ],
            copy(),
            lambda f: _tables(f / "a.csv", f / "a.html"),
        ),
        Case(
            "check",
            lambda f: ["check", store, "--out", str(f / "c.csv"), str(f / "c.html")],
            copy(),
            lambda f: _tables(f / "c.csv", f / "c.html"),
        ),
        Case("serve", lambda f: ["serve", run], copy(), _nothing, serve),
    ]


__all__ = ["Case", "EzavError", "cases", "make", "merge_stores"]
