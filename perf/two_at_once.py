"""Two real commands at once on the same store, run, recogniser, index or table.

    python perf/two_at_once.py [--cases extract run …] [--times 3]

Both are begun together, as processes of their own, and a second later where the first takes long.
They exclude each other (one ends with a line and changes nothing) or agree (both end well); either
way what lies there afterwards is what one alone leaves, and nothing else. Then the same command
goes through once more, or says that its result exists. A row a command; status 1 where one fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from disk_faults import listing
from small_world import Case, cases, make

EXCLUDED = ("another process", "was taught meanwhile")


def begin(argv: list[str]) -> subprocess.Popen[str]:
    """The command, as a user starts it."""
    root = Path(__file__).resolve().parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "500"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "ezav.cli.main", *argv],
        stdout=pipe, stderr=pipe, text=True, env=env,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """How it ended: "well", "excluded", "exists" or "WRONG"; and what it said."""
    out, said = process.communicate(timeout=600)
    if process.returncode == 0:
        return "well", out
    lines = [line for line in said.splitlines() if line.startswith("ezav ")]
    if "Traceback" in said or len(lines) != 1 or process.returncode != 1:
        return "WRONG", said
    if any(why in lines[0] for why in EXCLUDED):
        return "excluded", lines[0]
    return ("exists" if "exists already" in lines[0] else "WRONG"), said


def two(case: Case, folder: Path, wait: float) -> tuple[list[str], list[str]]:
    """How two commands ended, one begun so many seconds after the other, and what is wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    case.ready(folder)
    first = begin(case.argv(folder))
    time.sleep(wait)
    both = [first, begin(case.argv(folder))]
    told = [ended(process) for process in both]
    return [how for how, _ in told], [said[-1500:] for how, said in told if how == "WRONG"]


def try_case(case: Case, root: Path, times: int) -> tuple[Counter[str], list[str]]:
    """The pair several times, the second one later each time."""
    folder = root / "target"
    shutil.rmtree(folder, ignore_errors=True)
    case.ready(folder)
    begun = time.monotonic()
    how, said = ended(begin(case.argv(folder)))
    took = time.monotonic() - begun
    assert how == "well", said
    alone, files = case.state(folder), listing(folder)
    counts, wrong = Counter[str](), []
    for number in range(times):
        wait = took * number / (2 * times)
        hows, told = two(case, folder, wait)
        counts[" and ".join(sorted(hows))] += 1
        wrong += told
        if "well" not in hows:
            wrong.append(f"{case.name}, {wait:.1f} s later: none of the two ended well")
        for what in ("after both", "after a third"):
            state = case.state(folder)
            if state != alone and not (case.name == "teach" and "excluded" not in hows):
                wrong.append(f"{case.name}, {what}: {state!r}, not {alone!r}")
            if more := listing(folder) - files:
                wrong.append(f"{case.name}, {what}: also {sorted(more)}")
            if case.name == "teach":  # it teaches the clips once more
                break
            how, said = ended(begin(case.argv(folder)))
            if how == "WRONG":
                wrong.append(f"{case.name}, again: {said}")
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--root", type=Path, help="where the world is made, and kept")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.root or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        chosen = [c for c in cases(make(root)) if c.act is None]
        chosen = [c for c in chosen if not arguments.cases or c.name in arguments.cases]
        print("| two of | how the two ended | findings |\n|---|---|---|", flush=True)
        for case in chosen:
            counts, wrong = try_case(case, root, arguments.times)
            told = "; ".join(f"{how}: {count}" for how, count in counts.items())
            print(f"| `{case.name}` | {told} | {len(wrong)} |", flush=True)
            for one in wrong:
                print(one, file=sys.stderr, flush=True)
            failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
