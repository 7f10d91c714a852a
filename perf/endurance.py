"""A day in the life, compressed: what runs for long stays as small as it was, and is not wrong.

    python perf/endurance.py extract [--clips 20000] [--kill-every 500]
    python perf/endurance.py serve   [--visitors 50] [--minutes 60] [--think 40]
    python perf/endurance.py live    [--minutes 60]
    python perf/endurance.py find    [--moments 50000]
    python perf/endurance.py bench   [--times 50]

Each prints what the process and its children hold (memory, open files, threads, processes,
temporary files) at the beginning, on the way and at the end, and ends with an error where a result
differs from an undisturbed one. `scan_endurance.py` does so for a recording of hours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from endurance_bench import bench_interrupted
from endurance_extract import extract_for_long
from endurance_find import find_among_many
from endurance_live import live_for_long
from endurance_serve import serve_for_long


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--every", type=float, default=5.0, help="seconds from note to note")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and leave it there")
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("extract")
    one.add_argument("--clips", type=int, default=20_000)
    one.add_argument("--kill-every", type=int, default=500, help="clips from kill to kill")
    one = verbs.add_parser("serve")
    one.add_argument("--visitors", type=int, default=50)
    one.add_argument("--minutes", type=float, default=60)
    one.add_argument("--think", type=float, default=40, help="seconds from visit to visit")
    one.add_argument("--keep-minutes", type=float, default=2, help="of ezav serve")
    one = verbs.add_parser("live")
    one.add_argument("--minutes", type=float, default=60)
    one = verbs.add_parser("find")
    one.add_argument("--moments", type=int, default=50_000, help="then ten times more, to --most")
    one.add_argument("--most", type=int, default=500_000)
    one.add_argument("--dim", type=int, default=384)
    one = verbs.add_parser("bench")
    one.add_argument("--times", type=int, default=50)
    one.add_argument("--longest", type=float, default=3.0, help="seconds until it is interrupted")
    asked = parser.parse_args()
    doing = {
        "extract": extract_for_long,
        "serve": serve_for_long,
        "live": live_for_long,
        "find": find_among_many,
        "bench": bench_interrupted,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        doing[asked.verb](asked, folder)


if __name__ == "__main__":
    main()
