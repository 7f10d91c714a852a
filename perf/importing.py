"""Importing the UCF-GZSL cls layout, against h5py reading the same arrays and nothing else.

Simulated features of the real size (4096 + 128 dimensions) are written as class files in a
temporary folder. Then, alternating on a warm file cache (the hardest case: no disk to wait for):
h5py alone reads every `data`; h5py alone reads every `data` and `video_urls`, which is what an
importer has to read; the same bytes are written to one file and synced, which is what a store has
to do; the importer reads, checks, hashes and writes a feature store. The fastest of each are
compared, in seconds of the clock and of the processor (which other programs disturb less). Last,
opening the store. The temporary folder is removed.

    python perf/importing.py [SUITE]        ucf-cls, activitynet-cls, vggsound-cls, …-main
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ezav.benchmarks.simulate import plan_simulation, write_files
from ezav.features import FeatureStore
from ezav.features.importers import import_features
from ezav.features.importers.class_split import LISTS

REPEATS = 7
IMPORT = "import"


def read_with_h5py(folder: Path, names: bool) -> None:
    """Opens every class file once."""
    for kind in ("audio", "video"):
        for split in LISTS.values():
            for path in (folder / kind / split).iterdir():
                with h5py.File(path, "r") as file:
                    file["data"][()]
                    if names:
                        file["video_urls"][()]


def write_and_sync(path: Path, block: np.ndarray, size: int) -> None:
    """`size` bytes from memory, a block at a time, and one fsync."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for start in range(0, size, block.nbytes):
        os.write(handle, block.data[: size - start])
    os.fsync(handle)
    os.close(handle)
    path.unlink()


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    os.sync()
    gc.collect()  # else whoever comes first clears up after the others
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processor


def main(suite: str) -> None:
    root = Path(tempfile.mkdtemp(prefix="ezav-importing-"))
    dataset, _, setting = suite.partition("-")
    try:
        plan = plan_simulation(suite)
        folder = write_files(plan, root / "data")
        clips = sum(plan.clips.values())
        size = clips * 4 * (plan.features.audio[1] + plan.features.visual[1])
        block = np.random.default_rng(0).random(1 << 21).astype(np.float32)

        def bring_in() -> None:
            shutil.rmtree(root / "store", ignore_errors=True)
            import_features(
                "avca",
                root / "data",
                root / "store",
                dataset=dataset,
                setting=setting,
                simulated=True,
            )

        sides: dict[str, Callable[[], None]] = {
            "h5py, arrays": lambda: read_with_h5py(folder, names=False),
            "h5py, arrays and names": lambda: read_with_h5py(folder, names=True),
            "write and sync": lambda: write_and_sync(root / "raw", block, size),
            IMPORT: bring_in,
        }
        times: dict[str, list[tuple[float, float]]] = {what: [] for what in sides}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for turn in range(REPEATS + 1):
            for what, run in sides.items():
                found = measure(run)
                if turn:  # the first turn only warms the file cache
                    times[what].append(found)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        files = sum(1 for _ in folder.rglob("*.h5"))
        print(f"{suite}: {clips:,} clips in {files} files, {size / 1e6:.0f} MB")
        best = {what: [min(column) for column in zip(*found)] for what, found in times.items()}
        for what, (clock, processor) in best.items():
            print(
                f"  {what}: {size / clock / 1e6:.0f} MB/s, {clock:.3f} s of which the processor "
                f"{processor:.3f}; the import has {100 * clock / best[IMPORT][0]:.0f} % of its "
                f"rate ({100 * processor / best[IMPORT][1]:.0f} % by the processor)"
            )
        print("wanted: 50 % of the rate of 'h5py, arrays'")
        print(f"memory: {before / 1024:.0f} MiB before, at most {peak / 1024:.0f} MiB")
        opening = []
        for _ in range(20):
            start = time.perf_counter()
            FeatureStore.open(root / "store")
            opening.append(time.perf_counter() - start)
        print(f"opening the store: {1e3 * statistics.median(opening):.1f} ms (wanted: 50)")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "ucf-cls")
