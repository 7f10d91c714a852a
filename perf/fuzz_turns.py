"""Targets in turn by their shares, with counts and findings that outlast a call; for `fuzz.py`."""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz_targets import Target
from fuzz_workers import Batch, one_valid, run_batch


@dataclass(frozen=True)
class Kept:
    """Where things are.

    Attributes:
        root: counts and findings.
        valid: a folder of valid files for each target.
        room: the workers' own, in memory.
    """

    root: Path
    valid: Path
    room: Path

    @property
    def findings(self) -> Path:
        """Lines of JSON: target, number of the input, what."""
        return self.root / "findings.jsonl"

    @property
    def _counts(self) -> Path:
        return self.root / "counts.json"

    def counts(self) -> dict[str, Counter[str]]:
        """Target -> what became of its inputs -> how many."""
        told = json.loads(self._counts.read_text()) if self._counts.exists() else {}
        return {name: Counter(found) for name, found in told.items()}

    def add(self, name: str, found: Counter[str]) -> int:
        """Count more inputs of a target; gives how many there were in all."""
        counts = self.counts()
        counts[name] = counts.get(name, Counter()) + found
        self._counts.write_text(json.dumps(counts, indent=1))
        return counts[name].total()


def in_turn(targets: Sequence[Target], arguments: argparse.Namespace, kept: Kept) -> int:
    """Read inputs of whichever target lacks most of its share, until the time is up."""
    for target in targets:  # what readers import is imported once, before the forks
        place = kept.room / "once" / target.folder
        shutil.copytree(kept.valid / target.folder, place, dirs_exist_ok=True)
        one_valid(target, place)
        shutil.rmtree(kept.room / "once")
    counts = kept.counts()
    done = {target.name: counts.get(target.name, Counter()).total() for target in targets}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        target = min(targets, key=lambda one: done[one.name] / one.share)
        begin, begun = arguments.start + done[target.name], _used()
        batch = Batch(target, kept.valid, begin, arguments.turn, kept.room / "it", kept.findings)
        after, found = run_batch(batch)
        done[target.name] = kept.add(target.name, found)
        each = 1000 * (_used() - begun) / max(1, after - begin)
        print(f"{target.name}: {done[target.name]:,}, {each:.2f} ms each", flush=True)
    return tell(kept)


def _used() -> float:
    """Seconds of processor time of the workers that have ended."""
    told = resource.getrusage(resource.RUSAGE_CHILDREN)
    return told.ru_utime + told.ru_stime


def tell(kept: Kept) -> int:
    """Print the table of all calls; 1 where there are findings."""
    lines = kept.findings.read_text().splitlines() if kept.findings.exists() else []
    found = Counter((one["target"], one["what"][:100]) for one in map(json.loads, lines))
    counts = kept.counts()
    print("| reader of | mutated inputs | of them | findings |\n|---|---|---|---|")
    for name, kinds in counts.items():
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        wrong = sum(target == name for target, _ in found)
        print(f"| {name} | {kinds.total():,} | {told} | {wrong} |")
    print(f"| all | {sum(one.total() for one in counts.values()):,} | | {len(found)} |", flush=True)
    return int(bool(found))
