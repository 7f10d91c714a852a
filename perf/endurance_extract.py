"""Small clips, some hostile, workers killed now and then; the store is that of undisturbed work."""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

import psutil
from tests.media.files import write_clip

from ezav.features import FeatureStore
from held import Held
from small_world import ENCODERS

KINDS = 20
HOSTILE = 50
"""One of so many clips is no clip."""
PERIOD = 200
"""Clips after which the same come again; a multiple of the two above and of the classes."""


def extract_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """Both stores, and what the process held on the way to the disturbed one."""
    from ezav.extraction import extract

    write_clips(root / "few", PERIOD)
    write_clips(root / "videos", arguments.clips, root / "few")
    how = {"visual": ENCODERS[1], "audio": ENCODERS[3], "text": ENCODERS[5], "workers": 2}
    extract(root / "few", root / "quiet", **how)  # type: ignore[arg-type]
    me, done, killed = psutil.Process(), 0, 0

    def disturb(_: object) -> None:
        nonlocal done, killed
        done += 1
        if done % arguments.kill_every == 0 and (workers := me.children(recursive=True)):
            min(workers, key=lambda one: one.create_time()).kill()  # none that is just beginning
            killed += 1

    places = root / "tmp"
    places.mkdir()
    tempfile.tempdir = str(places)
    held = Held(me, places, arguments.every, root / "held.csv")
    with held.noting():
        extract(
            root / "videos",
            root / "noisy",
            on_progress=disturb,
            **how,  # type: ignore[arg-type]
        )
    noisy = FeatureStore.open(root / "noisy")
    wrong = differing(noisy, FeatureStore.open(root / "quiet"))
    bad = noisy.contents.unreadable
    print(f"clips that are not as undisturbed: {len(wrong)} {wrong[:10]}")
    held.show(f"extract: {arguments.clips} clips, {bad} unreadable, {killed} workers killed")
    if wrong or list(places.iterdir()):
        raise SystemExit(f"files left: {list(places.iterdir())}")


def differing(store: FeatureStore, quiet: FeatureStore) -> list[str]:
    """Clips with another fate or other features than the same file had in the quiet store."""
    expected, found = records(quiet), records(store)
    assert set(expected) <= set(found)
    return [
        f"{clip}: {told[:2]}"
        for clip, told in found.items()
        if told != expected[_clip(int(Path(clip).stem) % PERIOD)]
    ]


def records(store: FeatureStore) -> dict[str, tuple[str, str, bytes]]:
    """Clip -> status, reason, and both features as bytes."""
    found, shards = {}, {}
    for row in store.index.to_pylist():
        tokens = b""
        if row["status"] == "ok":
            if row["shard"] not in shards:
                shards[row["shard"]] = store.shard(row["shard"])
            for part in shards[row["shard"]]:
                span = slice(*part.offsets[row["row"] : row["row"] + 2])
                tokens += part.values[span].numpy().tobytes() + part.times[span].numpy().tobytes()
        found[row["clip"]] = (row["status"], row["reason"], tokens)
    return found


def _clip(number: int) -> str:
    return f"class {number % 5}/{number}.mp4"


def write_clips(folder: Path, count: int, same: Path | None = None) -> None:
    """A few clips, 2 % of them cut, turned around, nonsense or empty; or links to the `same`."""
    draw, kinds = random.Random(0), []
    for number in range(0 if same else KINDS):
        path = write_clip(folder.parent / "kind.mp4", frames=4, tone=200.0 + 40 * number, rate=8000)
        kinds.append(path.read_bytes())
    for number in range(count):
        path = folder / _clip(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if same:
            path.hardlink_to(same / _clip(number % PERIOD))
            continue
        data = kinds[number % KINDS]
        if number % HOSTILE == 7:
            bad = data[: len(data) // 2], data[::-1], draw.randbytes(2000), b""
            data = bad[number // HOSTILE % len(bad)]
        path.write_bytes(data)
