"""Importing the UCF-GZSL cls layout, against h5py reading the same arrays and nothing else.

Simulated features of the real size (4096 + 128 dimensions) are written as class files in a
temporary folder. Then, alternating on a warm file cache (the hardest case: no disk to wait for):
h5py alone reads every `data`; h5py alone reads every `data` and `video_urls`, which is what an
importer has to read; the importer reads, checks, hashes and writes a feature store. The fastest
of each are compared. Last, opening the store. The temporary folder is removed.

    python perf/importing.py
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import h5py

from ezav.benchmarks.simulate import plan_simulation, write_files
from ezav.features import FeatureStore
from ezav.features.importers import import_features
from ezav.features.importers.class_split import LISTS

REPEATS = 5


def read_with_h5py(folder: Path, names: bool) -> int:
    """Bytes of all features; opens every class file once."""
    size = 0
    for kind in ("audio", "video"):
        for split in LISTS.values():
            for path in (folder / kind / split).iterdir():
                with h5py.File(path, "r") as file:
                    size += file["data"][()].nbytes
                    if names:
                        file["video_urls"][()]
    return size


def main() -> None:
    root = Path(tempfile.mkdtemp(prefix="ezav-importing-"))
    try:
        plan = plan_simulation("ucf-cls")
        folder = write_files(plan, root / "UCF")
        rates: dict[str, list[float]] = {
            "h5py, arrays": [],
            "h5py, arrays and names": [],
            "import": [],
        }
        for turn in range(REPEATS + 1):
            for what in rates:
                os.sync()
                start = time.perf_counter()
                if what == "import":
                    size = import_features(
                        "avca",
                        root / "UCF",
                        root / f"store-{turn}",
                        dataset="ucf",
                        setting="cls",
                        simulated=True,
                    ).bytes
                else:
                    size = read_with_h5py(folder, names="names" in what)
                if turn:  # the first turn only warms the file cache
                    rates[what].append(size / (time.perf_counter() - start) / 1e6)
            shutil.rmtree(root / f"store-{turn - 1}", ignore_errors=True)
        files = sum(1 for _ in folder.rglob("*.h5"))
        print(f"{sum(plan.clips.values()):,} clips in {files} files, {size / 1e6:.0f} MB")
        best = {what: max(values) for what, values in rates.items()}
        for what, rate in best.items():
            share = 100 * best["import"] / rate
            print(f"  {what}: {rate:.0f} MB/s (the import reaches {share:.0f} % of it)")
        print("wanted: 50 % of h5py's rate on the same arrays")
        opening = []
        for _ in range(20):
            start = time.perf_counter()
            FeatureStore.open(root / f"store-{REPEATS}")
            opening.append(time.perf_counter() - start)
        print(f"opening the store: {1e3 * statistics.median(opening):.1f} ms (wanted: 50)")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
