"""Rate of `ezav predict RUN FOLDER --out answers.csv` against that of `ezav extract`.

    python perf/predict.py --videos FOLDER --run RUN [--clips 60] [--rounds 3]

Both read the same clips with the same encoders, in turn, in one run, so that they compare. On a
busy machine compare processor seconds: the clock then measures the others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ezav.answers import answer_files
from ezav.encoders.spec import EncoderSpec
from ezav.extraction import extract, list_videos
from ezav.recognizer import Recognizer


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor with those of processes that have ended."""
    before, begun = os.times(), time.perf_counter()
    work()
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])
    return time.perf_counter() - begun, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    items = list_videos(options.videos).items
    some = items[: options.clips]  # whole classes, which extraction can split
    recognizer = Recognizer.load(options.run)
    used = {kind: recognizer.encoders.spec(kind) for kind in ("visual", "audio")}
    specs = {kind: EncoderSpec(one.name, dict(one.options)) for kind, one in used.items()}
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place, recognizer:
        folder = Path(place, "clips")
        for at, item in enumerate(some):
            link = folder / item.class_name / f"{at}{item.path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(item.path.resolve())
        for number in range(options.rounds):
            ways: dict[str, Callable[[], object]] = {
                "extract": lambda n=number: extract(
                    folder, Path(place, f"store{n}"), visual=specs["visual"], audio=specs["audio"]
                ),
                "predict .csv": lambda n=number: answer_files(
                    recognizer, [folder], [Path(place, f"{n}.csv")]
                ),
                "predict .csv .html": lambda n=number: answer_files(
                    recognizer, [folder], [Path(place, f"{n}-sheet.csv"), Path(place, f"{n}.html")]
                ),
            }
            for name, work in ways.items():
                found.setdefault(name, []).append(measured(work))
    base = [statistics.median(column) for column in zip(*found["extract"])]
    print(f"{len(some)} clips, {options.rounds} rounds, medians")
    print(f"{'':<20} clips/s  of extract's rate  processor s  of extract's rate")
    for name, rows in found.items():
        clock, spent = (statistics.median(column) for column in zip(*rows))
        print(
            f"{name:<20} {len(some) / clock:7.2f}  {base[0] / clock:17.1%}  {spent:11.1f}  "
            f"{base[1] / spent:17.1%}"
        )


if __name__ == "__main__":
    main()
