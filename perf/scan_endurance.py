"""`ezav scan` on held-out clips joined end to end: events against the truth, and memory over time.

Each event is two to four test clips of one class, one after the other, taken over without encoding
them again; all classes of the run are candidates. `--repeat 12` makes two hours of it.

    ezav demo --out demo
    python perf/scan_endurance.py demo/runs-0/ez-avgzl/seed-0 demo/store-0 VIDEOS
    python perf/scan_endurance.py ... --repeat 12 -- --change 0

An event is found when one of the same class overlaps it by more than half of their union (IoU);
so no event can be found twice, nor find two. What follows `--` goes to `ezav scan`.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import psutil
from av.bitstream import BitStreamFilterContext

from ezav.features import FeatureStore
from held import Held, surroundings

Span = tuple[float, float, str]
EVERY = 1.0
"""Seconds from one note of what the scan holds to the next."""


def plan(
    store: FeatureStore, videos: Path, seconds: float, seed: int
) -> list[tuple[str, list[str]]]:
    """Classes and the clips of each event; no class twice in a row, no clip twice."""
    draw = random.Random(seed)
    clips = store.select("test_seen", "test_unseen")
    of: dict[str, list[str]] = defaultdict(list)
    for clip, label in zip(clips.clips, clips.labels.tolist()):
        of[clips.classes[label]].append(clip)
    for some in of.values():
        draw.shuffle(some)
    events: list[tuple[str, list[str]]] = []
    while seconds > 0:
        left = [name for name in of if of[name] and (not events or events[-1][0] != name)]
        if not left:
            break
        name = draw.choice(sorted(left))
        taken = [of[name].pop() for _ in range(min(len(of[name]), draw.randint(2, 4)))]
        events.append((name, taken))
        seconds -= sum(_seconds(videos / clip) for clip in taken)
    return events


def _seconds(clip: Path) -> float:
    with av.open(str(clip)) as source:
        return float(source.duration or 0) / av.time_base


def join(
    events: list[tuple[str, list[str]]], videos: Path, out: Path, repeat: int
) -> tuple[list[Span], float]:
    """Write the recording by copying packets; what is in it, and its seconds."""
    truth: list[Span] = []
    now = Fraction(0)
    first = str(videos / events[0][1][0])
    with av.open(str(out), "w", format="mpegts") as film, av.open(first) as model:
        streams = {s.type: film.add_stream_from_template(s) for s in model.streams}
        for name, clips in events * repeat:
            begin = now
            for clip in clips:
                now += _append(film, streams, videos / clip, now)
            truth.append((float(begin), float(now), name))
    return truth, float(now)


def _append(film: Any, streams: dict[str, Any], clip: Path, now: Fraction) -> Fraction:
    """Copy the packets of a clip to `now`; its seconds."""
    end = Fraction(0)
    with av.open(str(clip)) as source:
        # Clips differ in size: each brings its own parameters along in its packets.
        own = BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
        for packet in source.demux():
            if packet.dts is None or packet.pts is None:
                continue
            if packet.pts < 0:  # the encoder's run-up, before the sound begins
                continue
            video = packet.stream.type == "video"
            base = packet.time_base
            end = max(end, (packet.pts + packet.duration) * base)
            for copy in own.filter(packet) if video else [packet]:
                copy.pts += round(now / base)
                copy.dts += round(now / base)
                copy.stream = streams["video" if video else "audio"]
                film.mux(copy)
    return end


def watched(command: list[str], folder: Path) -> tuple[dict, Held, float]:
    """Run a scan; its answer, what it held meanwhile, and seconds taken."""
    start, places = time.perf_counter(), folder / "tmp"
    places.mkdir(exist_ok=True)
    with (folder / "progress.log").open("w+") as log, tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen(
            command, stdout=answer, stderr=log, text=True, env=surroundings(places)
        )
        held = Held(psutil.Process(process.pid), places, EVERY, folder / "held.csv")
        with held.noting():
            status = process.wait()
        if status or list(places.iterdir()):
            log.seek(0)
            sys.exit(f"status {status}, left {list(places.iterdir())}: {log.read()}")
        answer.seek(0)
        return json.load(answer), held, time.perf_counter() - start


def overlap(a: Span, b: Span) -> float:
    """Seconds that both cover, of those that either covers; 0 for two classes."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, both) / (max(a[1], b[1]) - min(a[0], b[0])) if a[2] == b[2] else 0.0


def named_right(truth: list[Span], found: list[Span]) -> float:
    """Share of the recording's time that carries its own name."""
    edges = sorted({edge for span in (*truth, *found) for edge in span[:2]})

    def at(spans: list[Span], moment: float) -> str | None:
        return next((name for start, end, name in spans if start <= moment < end), None)

    right = sum(
        b - a
        for a, b in pairwise(edges)
        if (name := at(truth, (a + b) / 2)) is not None and name == at(found, (a + b) / 2)
    )
    return right / sum(end - start for start, end, _ in truth)


def alike(found: list[Span], length: float, repeat: int) -> int:
    """Of a recording so many times over, the rounds that have the events of the first."""
    period = length / repeat
    rounds: dict[int, list[Span]] = defaultdict(list)
    for start, end, name in found:
        at = int(start // period)
        rounds[at].append((round(start - at * period, 2), round(end - at * period, 2), name))
    return sum(one == rounds[0] for one in rounds.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--repeat", type=int, default=1, help="the recording so many times over")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep recording, truth and events in this folder")
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)  # argparse loses what follows options
    asked, scan = parser.parse_args(words[:at]), words[at + 1 :]
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        film, store = folder / "film.ts", FeatureStore.open(asked.store)
        truth, length = join(
            plan(store, asked.videos, 60 * asked.minutes, asked.seed),
            asked.videos,
            film,
            asked.repeat,
        )
        (folder / "truth.json").write_text(json.dumps(truth, indent=1))
        outs = [str(folder / f"events.{kind}") for kind in ("json", "csv", "vtt", "srt")]
        command = [sys.executable, "-m", "ezav.cli.main", "scan", str(asked.run), str(film)]
        command += ["--json", "--out", *outs, *scan]
        told, held, seconds = watched(command, folder)
    found = [(one["start"], one["end"], one["name"]) for one in told["events"]]
    best = [max((overlap(span, other) for other in found), default=0.0) for span in truth]
    hits = sum(one > 0.5 for one in best)
    print(f"{length / 60:.1f} minutes, {len(truth)} events, {len(store.classes)} candidates")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    print(
        f"scanned in {seconds:.0f} s, {length / seconds:.1f} times as fast as it plays; "
        f"{processor:.0f} s of processor time: {length / processor:.1f} times"
    )
    precision, recall = hits / max(1, len(found)), hits / len(truth)
    print(
        f"{len(found)} events told, {hits} of them found at IoU > 0.5: precision {precision:.1%}, "
        f"recall {recall:.1%}; mean IoU of the best event {sum(best) / len(best):.2f}"
    )
    print(f"time that carries its own name: {named_right(truth, found):.1%}")
    print(f"rounds cut as the first: {alike(found, length, asked.repeat)} of {asked.repeat}")
    held.show("scan")


if __name__ == "__main__":
    main()
