"""What one answer costs: cold, warm, and in a folder of many, each with its parts.

    python perf/one_answer.py RUN CLIP [--rounds 5] [--folder 200]

Cold is the whole command, `ezav predict RUN CLIP` and `--frozen`, from the start of its process to
its end. It works in two processes side by side, one that reads the clip and one that answers; each
one's parts are measured apart, in fresh interpreters that do the same in turn. Warm is the second
answer and those after it in one process. The folder holds so many links to the clip. Processor
seconds with those of the worker, medians; the clock says something on a quiet machine alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

NAMES = ["a dog", "rain"]


class Parts:
    """Processor seconds of this process, part by part."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {"python": time.process_time()}
        self._before = time.process_time()

    def __call__(self, name: str) -> None:
        now = time.process_time()
        self.found[name], self._before = now - self._before, now


def reading(run: str, clip: Path) -> dict[str, float]:
    """What the worker does, with the encoders of a run or those of a frozen recogniser."""
    told = Parts()
    import torch  # noqa: F401

    told("torch's import")
    import ezav.extraction.worker  # noqa: F401
    from ezav.encoders import registry
    from ezav.extraction.encode import _wanted, encode_decoded
    from ezav.media import read_clip

    wanted = [("visual", "efficientnet", {})]
    if run:
        from ezav.recognizer.encoders import RunEncoders
        from ezav.recognizer.find import read_header

        spec = RunEncoders(read_header(Path(run)), None).spec
        wanted = [(kind, spec(kind).name, spec(kind).options) for kind in ("visual", "audio")]
    told("other imports")
    encoders: dict[str, Any] = {
        kind: registry.load(kind, name, options, import_code=False)
        for kind, name, options in wanted
    }
    told("weights")
    specs, rates = _wanted(encoders)
    decoded = read_clip(clip, video=specs, audio=rates)
    told("decode")
    encode_decoded(decoded, encoders)
    told("encode")
    decoded = read_clip(clip, video=specs, audio=rates)
    told("decode again")
    encode_decoded(decoded, encoders)
    told("encode again")
    return told.found


def answering(run: str, clip: Path) -> dict[str, float]:
    """What the process that answers does."""
    told = Parts()
    import torch

    told("torch's import")
    from ezav.extraction.encoded import Encoded, EncodedClip
    from ezav.recognizer.recognizer import Recognizer

    told("other imports")
    recognizer = Recognizer.load(run) if run else Recognizer.frozen()
    told("weights")
    names = None if run else NAMES
    recognizer.candidates(names)
    told("names")
    dims = recognizer.model.method.dims
    ones = {
        kind: Encoded(torch.rand(4, getattr(dims, kind)).numpy(), torch.arange(4.0).numpy())
        for kind in recognizer.encoders.kinds
    }
    encoded = EncodedClip(tokens=ones, path=clip)
    recognizer.predict(encoded, names)
    told("score")
    recognizer.predict(encoded, names)
    told("score again")
    return told.found


def command(*arguments: object) -> tuple[float, float]:
    """Seconds of processor and of the clock of one `ezav` command and its processes."""
    line = [sys.executable, "-c", "import sys; from ezav.cli.start import main; sys.exit(main())"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        line + [str(one) for one in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"ezav {arguments[0]} failed")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begun


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def cold(run: Path, clip: Path, rounds: int) -> None:
    ways: dict[str, tuple[str, Callable[[], tuple[float, float]]]] = {
        "RUN": (str(run), lambda: command("predict", run, clip)),
        "--frozen": ("", lambda: command("predict", "--frozen", clip, "--classes", *NAMES)),
    }
    found: dict[str, list[tuple[float, float]]] = {}
    parts: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, (of, work) in ways.items():
            found.setdefault(name, []).append(work())
            for role in ("reading", "answering"):
                asked = [sys.executable, __file__, of, str(clip), "--part", role]
                told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
                parts.setdefault(f"{name}, {role}", []).append(json.loads(told))
    for name, rows in found.items():
        spent, clock = (statistics.median(column) for column in zip(*rows))
        least = min(row[1] for row in rows)
        print(f"cold, {name}: {spent:.2f} s of processor, {clock:.2f} s (least {least:.2f})")
        for role in ("reading", "answering"):
            told = medians(parts[f"{name}, {role}"])
            print(f"  {role}: " + ", ".join(f"{k} {v:.2f}" for k, v in told.items()), flush=True)


def used() -> float:
    """Processor seconds of this process and its living children."""
    mine = psutil.Process()
    return sum(
        sum(one.cpu_times()[:2]) for one in (mine, *mine.children(recursive=True)) if one.pid
    )


def warm(run: Path, clip: Path, rounds: int) -> None:
    from ezav.recognizer import Recognizer

    for name, made, names in (
        ("RUN", Recognizer.load(run), None),
        ("--frozen", Recognizer.frozen(), NAMES),
    ):
        with made as recognizer:
            recognizer.predict(clip, names)
            rows = []
            for _ in range(4 * rounds):
                before, begun = used(), time.perf_counter()
                recognizer.predict(clip, names)
                rows.append((used() - before, time.perf_counter() - begun))
        spent, clock = (1e3 * statistics.median(column) for column in zip(*rows))
        print(f"warm, {name}: {spent:.0f} ms of processor, {clock:.0f} ms", flush=True)


def folder(run: Path, clip: Path, many: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary, "clips")
        place.mkdir()
        for number in range(many):
            (place / f"{number}{clip.suffix}").symlink_to(clip.resolve())
        rows = [
            command("predict", run, place, "--out", Path(temporary, f"{number}.csv"))
            for number in range(rounds)
        ]
    spent, clock = (1e3 * statistics.median(column) / many for column in zip(*rows))
    print(f"a folder of {many}, with its start: {spent:.0f} ms of processor a clip, {clock:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=str, help="a run folder with its encoders")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=int, default=200, help="clips of it; 0 leaves it out")
    parser.add_argument("--part", choices=("reading", "answering"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        work = reading if given.part == "reading" else answering
        print(json.dumps(work(given.run, given.clip)))
        return
    cold(Path(given.run), given.clip, given.rounds)
    warm(Path(given.run), given.clip, given.rounds)
    if given.folder:
        folder(Path(given.run), given.clip, given.folder, max(1, given.rounds // 2))
    print(f"load while this ran: {os.getloadavg()[0]:.1f} of {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
