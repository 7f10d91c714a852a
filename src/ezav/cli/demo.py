"""From generated videos to a recogniser of classes it was never shown, end to end.

Draws a toy world of moving, sounding shapes as real mp4 files, extracts features, optimises the
class embeddings, trains EZ-AVGZL, a closed form and two controls under the two-stage protocol with
several seeds, and names what is in a held-out clip of a class never trained on. What is done
already is kept: the same command twice goes on where it stopped.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ezav.cli.common import Command, at_least_one, output, progress
from ezav.cli.extract import extraction_progress
from ezav.cli.predict import show_prediction
from ezav.safe_io import atomic_path, own_folder, refuse_links

if TYPE_CHECKING:
    from ezav.benchmarks.runner import Job
    from ezav.classes import Diagnostics
    from ezav.features.store import FeatureStore
    from ezav.features.toy import ToyWorld
    from ezav.protocol.result import RunResult
    from ezav.recognizer.prediction import Prediction

OURS = "EZ-AVGZL"
ROWS: dict[str, tuple[str, dict[str, object]]] = {
    OURS: ("ez_avgzl", {}),
    "ESZSL, closed form": ("eszsl", {}),
    "cosine, raw text": ("ez_avgzl", {"similarity": "cosine", "classes": {"source": "raw"}}),
    "shuffled names": ("ez_avgzl", {"classes": {"shuffle": True}}),
}
"""Table label -> method, and what differs from its recipe."""
EXAMPLES = 3
"""Seen and unseen classes each that the page offers a clip of."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The generated world: its folder, and how many classes it has."""

    folder: Path
    classes: int


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Measures of the class embeddings before and after their optimization."""

    before: Diagnostics
    after: Diagnostics


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What was said of a held-out clip; as JSON the prediction's fields, with the truth before."""

    truth: str
    prediction: Prediction

    def as_dict(self) -> dict[str, object]:
        """Both as JSON-ready data."""
        return {"truth": self.truth, **self.prediction.as_dict()}


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Everything that the demo made.

    Attributes:
        seconds: how long it took.
        world, store: the clips and their features.
        class_embeddings: measured.
        results: of all runs, seed by seed.
        recognised: a clip of a class never trained on.
        run: the folder of the first run.
        examples: a folder of held-out clips to try.
        report: the page of tables and figures.
        answers: the page of held-out clips and what they were called.
    """

    seconds: float
    world: World
    store: Path
    class_embeddings: Embeddings
    results: list[RunResult]
    recognised: Recognised
    run: Path
    examples: Path
    report: Path
    answers: Path


@dataclass(kw_only=True)
class DemoCommand(Command):
    out: Path = Path("ezav-demo")
    """Write features, runs and the report into this folder."""
    seeds: int = 5
    """Run each row of the table with so many seeds."""
    world_seed: int = 0
    """Draw the toy world from this seed; another seed draws other classes and clips."""
    processes: int | None = None
    """Train in so many processes in parallel; by default one for each CPU."""

    def run(self) -> DemoResult:
        at_least_one(seeds=self.seeds, processes=self.processes)
        for folder in (self._store_folder, *(self._folder(label, 0).parent for label in ROWS)):
            refuse_links(self.out, folder)
        started = time.perf_counter()
        world = self._world()
        store = self._features(world)
        embeddings = self._optimise(store)
        results = self._train(store)
        recognised = self._recognise(world, store)
        report = self._report(world.folder)
        answers = self._answers(world.folder)
        examples = self._examples(world, store)
        return DemoResult(
            seconds=round(time.perf_counter() - started, 1),
            world=World(folder=world.folder, classes=len(world.classes)),
            store=store.path,
            class_embeddings=embeddings,
            results=results,
            recognised=recognised,
            run=self._folder(OURS, 0),
            examples=examples,
            report=report,
            answers=answers,
        )

    def _world(self) -> ToyWorld:
        from ezav.features.toy import generate_toy_world

        _step(1, "The toy world: real mp4 clips of shapes that move and sound")
        with _bar("drawing clips") as tell:
            world = generate_toy_world(seed=self.world_seed, on_progress=tell)
        _say(f"{len(world.classes)} classes, {len(world.unseen)} of them never trained on")
        _say(f"for example {world.unseen[0]}; the clips: {world.folder}")
        return world

    def _features(self, world: ToyWorld) -> FeatureStore:
        from ezav.extraction import extract
        from ezav.features.store import FeatureStore

        _step(2, "Features: statistics of pictures and sounds, sentence vectors of the names")
        with extraction_progress() as tell:
            # The toy world's encoders: colour, shape and motion of flat figures, and what an
            # object looks like to a network that was trained on photographs is beside the point.
            made = extract(
                world.manifest,
                self._store_folder,
                visual="statistics",
                audio="statistics",
                on_progress=tell,
            )
        clips = ", ".join(f"{name} {count}" for name, (_, count) in made.splits.items())
        _say(f"clips: {clips}")
        return FeatureStore.open(made.store)

    def _optimise(self, store: FeatureStore) -> Embeddings:
        from ezav.classes import diagnose
        from ezav.methods.ez_avgzl.config import EzAvgzlConfig
        from ezav.protocol.stages import read_stage

        _step(3, "Class embedding optimization: spread the names, keep who is near whom")
        text = read_stage(store, 2).text
        optimised = EzAvgzlConfig().classes.prepare(text)
        before, after = diagnose(text, text), diagnose(optimised, text)
        _say(
            f"mean distance to the nearest class {before.mean_nearest:.2f} -> "
            f"{after.mean_nearest:.2f} (at most {after.simplex_bound:.2f}); "
            f"{after.orderings_kept:.1%} of the orderings of distances kept"
        )
        return Embeddings(before=before, after=after)

    def _train(self, store: FeatureStore) -> list[RunResult]:
        from ezav.benchmarks.runner import Job, run_jobs
        from ezav.recipes import protocol_for

        jobs = [
            Job(
                protocol=protocol_for(method, config=changes, seed=seed),
                store=store.path,
                folder=self._folder(label, seed),
                label=label,
            )
            for seed in range(self.seeds)
            for label, (method, changes) in ROWS.items()
        ]
        _step(4, "Training: epochs and gamma from validation, then once on train + validation")
        with _bar("training runs") as tell:
            done: list[Job] = []

            def on_done(job: Job, result: RunResult) -> None:
                done.append(job)
                tell(len(done), len(jobs))

            tell(0, len(jobs))
            return run_jobs(jobs, self.processes, on_done)

    def _recognise(self, world: ToyWorld, store: FeatureStore) -> Recognised:
        from ezav.recognizer import Recognizer

        _step(5, "A held-out clip of a class never trained on")
        unseen = store.select("test_unseen")  # sorted: always the first, not one that looks well
        truth = unseen.classes[int(unseen.labels[0])]
        recognizer = Recognizer.load(self._folder(OURS, 0))
        (prediction,) = recognizer.predict(world.folder / unseen.clips[0], top_k=5)
        return Recognised(truth=truth, prediction=prediction)

    def _examples(self, world: ToyWorld, store: FeatureStore) -> Path:
        """Held-out clips of a few classes, seen and unseen, each named after its class."""
        folder = self.out / f"examples-{self.world_seed}"
        own_folder(folder)
        for split in ("test_seen", "test_unseen"):
            clips = store.select(split)
            first = {int(c): clip for c, clip in zip(clips.labels.flip(0), clips.clips[::-1])}
            for label in sorted(first)[:EXAMPLES]:
                with atomic_path(folder / f"{clips.classes[label]}.mp4") as path:
                    shutil.copyfile(world.folder / first[label], path)
        return folder

    @property
    def _store_folder(self) -> Path:
        return self.out / f"store-{self.world_seed}"

    def _folder(self, label: str, seed: int) -> Path:
        name = label.replace(",", "").replace(" ", "-").lower()
        return self.out / f"runs-{self.world_seed}" / name / f"seed-{seed}"

    def _report(self, videos: Path) -> Path:
        from ezav.reports import write_report

        _step(6, "Two pages: tables and figures, and clips with their answers")
        folders = [self._folder(label, seed) for label in ROWS for seed in range(self.seeds)]
        return write_report(
            folders, self.out / "report.html", store=self._store_folder, videos=videos
        )

    def _answers(self, videos: Path) -> Path:
        from ezav.reports.answers import write_answers

        return write_answers(
            self._folder(OURS, 0),
            self.out / "answers.html",
            store=self._store_folder,
            videos=videos,
        )

    def show(self, result: DemoResult) -> None:
        from ezav.reports.tables import rich_table, summary_rows

        runs = result.results
        output.print(rich_table(summary_rows(runs), title="Test clips of the toy world, percent"))
        truth, prediction = result.recognised.truth, result.recognised.prediction
        output.print(f"\na held-out clip of '{truth}', a class never trained on:")
        show_prediction(prediction)
        ours = [run.metrics for run in runs if run.label == OURS]
        output.print(
            f"(always the first clip; of all clips of such classes {_mean(m.U for m in ours):.0%} "
            f"get their name among all classes, {_mean(m.ZSL for m in ours):.0%} among the unseen)"
        )
        output.print(f"clips with their answers, right and wrong: {result.answers}", soft_wrap=True)
        output.print(f"tables and figures: {result.report}", soft_wrap=True)
        output.print(f"run: {result.run}   ({result.seconds:.0f} s in all)", soft_wrap=True)
        serve = shlex.join(["ezav", "serve", str(result.run), "--examples", str(result.examples)])
        output.print(f"\ntry it on a page:  {serve}")
        output.print(
            "\nyour own videos, sorted into class folders, are three commands away:\n"
            "  ezav extract VIDEOS --out STORE\n"
            "  ezav run STORE --out RUN\n"
            '  ezav predict RUN CLIP --classes "a class" "another, never trained on"'
        )


CLI = DemoCommand


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _step(number: int, title: str) -> None:
    progress.print(f"{number}. {title}", style="bold")


def _say(text: str) -> None:
    progress.print(f"   {text}", soft_wrap=True)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar told (done, total); it vanishes when finished."""
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
