"""All methods on the suites that can be had anywhere: docs/measurements/all-methods.md.

    python perf/methods_bench.py WORK --toy STORE --real STORE --stores FOLDER [--processes 2]
    python perf/methods_bench.py WORK ... --table     only write the table, from what is done

Every run is a job of `ezav bench` (two stages, 3 seeds, recipes of the suite), in groups that
differ in the length of training alone: published lengths take days on two CPU cores. Runs are kept
in WORK; the same command goes on where it was stopped. The table goes between two marks of
docs/measurements/all-methods.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ezav.benchmarks.bench import find_store, plan
from ezav.benchmarks.runner import Job, is_done, run_jobs
from ezav.errors import EzavError
from ezav.features.store import FeatureStore
from ezav.protocol.result import Metrics, RunResult

DOC = Path(__file__).parents[1] / "docs" / "measurements" / "all-methods.md"
MARKS = ("<!-- table: perf/methods_bench.py -->", "<!-- end of the table -->")
SEEDS = range(3)


class Group(NamedTuple):
    """Methods whose recipes have batches of about one size and rate."""

    methods: tuple[str, ...]
    epochs: int
    batches: int


FROZEN = Group(("zero_shot", "eszsl"), 1, 1)
LARGE_BATCHES = Group(
    (
        "ale",
        "devise",
        "sje",
        "apn",
        "cjme",
        "avgzslnet",
        "avca",
        "hyperbolic",
        "hyper_single",
        "hyper_alignment",
    ),
    3,
    20,
)
COSTLY = Group(("kda", "f_vaegan_d2"), 2, 20)
SMALL_BATCHES = Group(
    ("clipclap", "hsp_moe", "blending", "ez_avgzl", "attention_fusion", "perceiver", "tcaf"), 3, 60
)
GROUPS = (FROZEN, LARGE_BATCHES, SMALL_BATCHES, COSTLY)
OWN_TEXT = ("zero_shot", "blending", "hsp_moe")
"""Only where the class vectors are the encoders' own text."""
COLUMNS = ("S", "U", "HM", "ZSL")
SUITES = ("real", "toy", "ucf-clipclap", "vggsound-clipclap", "ucf-temporal")


def jobs_of(suite: str, store: FeatureStore, work: Path, group: Group) -> list[Job]:
    shared = suite.endswith("clipclap")
    methods = [name for name in group.methods if shared or name not in OWN_TEXT]
    training = {"epochs": group.epochs, "batches_per_epoch": group.batches}
    jobs = plan(store, methods, SEEDS, work / suite, training=training) if methods else []
    return [job for job in jobs if job.label in methods]  # the frozen one joins every plan


def stores(options: argparse.Namespace) -> Iterator[tuple[str, FeatureStore]]:
    own = {"toy": options.toy, "real": options.real}
    for suite in SUITES:
        target = own.get(suite, suite)
        if target is not None:
            try:
                yield suite, find_store(str(target), options.stores)
            except EzavError as error:
                print(f"left out: {error}")


def run(options: argparse.Namespace) -> None:
    for suite, store in list(stores(options)):  # cheap suites first
        for group in GROUPS:

            def on_done(job: Job, result: RunResult, suite: str = suite) -> None:
                hm = f"HM {result.metrics.HM:.1%}"
                print(f"{suite} {job.label} seed {job.seed}: {hm}", flush=True)

            run_jobs(jobs_of(suite, store, options.work, group), options.processes, on_done)
            write_table(options)


def write_table(options: argparse.Namespace) -> None:
    text = DOC.read_text(encoding="utf-8")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    parts = []
    for suite, store in stores(options):
        rows: list[str] = []
        for group in GROUPS:
            jobs = jobs_of(suite, store, options.work, group)
            for label in dict.fromkeys(job.label for job in jobs):
                done = [is_done(job, store) for job in jobs if job.label == label]
                if all(done):
                    rows.append(row(label, done, group))
                    chance = done[0].chance
        if rows:
            parts += [heading(store), chance_row(chance), *rows, ""]
    DOC.write_text("\n".join([before + MARKS[0], "", *parts, MARKS[1]]) + after, encoding="utf-8")


def heading(store: FeatureStore) -> str:
    header = store.header
    simulated = ", SIMULATED" if header.simulated else ""
    return (
        f"### {header.dataset} · {header.setting}{simulated}\n\n"
        "| method | S | U | HM | ZSL | batches an epoch, epochs | parameters | seconds |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|"
    )


def chance_row(chance: Metrics) -> str:
    numbers = " | ".join(f"{100 * getattr(chance, key):.1f}" for key in COLUMNS)
    return f"| chance | {numbers} | | | |"


def row(label: str, results: list[RunResult], group: Group) -> str:
    def percent(key: str) -> str:
        values = [100 * getattr(result.metrics, key) for result in results]
        return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"

    length = f"{group.batches} × {group.epochs}" if results[0].parameters else "none"
    seconds = statistics.mean(sum(result.timing.values()) for result in results)
    numbers = " | ".join(percent(key) for key in COLUMNS)
    return f"| {label} | {numbers} | {length} | {results[0].parameters:,} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of the runs")
    parser.add_argument("--toy", type=Path, help="store extracted from the toy world")
    parser.add_argument("--real", type=Path, help="store extracted from the real clips")
    parser.add_argument("--stores", type=Path, default=Path("stores"), help="simulated suites")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only write the table")
    options = parser.parse_args()
    write_table(options) if options.table else run(options)


if __name__ == "__main__":
    main()
