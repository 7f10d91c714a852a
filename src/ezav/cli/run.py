"""Train and test a method on a feature store under the two-stage protocol.

Stage 1 chooses the number of epochs and gamma on validation; stage 2 trains again on train and
validation together, and only then are the test clips scored. Settings are those of the method's
recipe for the store's data set unless given. Writes a run folder that says everything about itself.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ezav.cli.common import Command, Importing, at_least_one, output, progress
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore
    from ezav.protocol.result import RunResult
    from ezav.protocol.two_stage import TwoStageProtocol
    from ezav.protocol.validation import ValidationEpoch
    from ezav.training.trainer import EpochLog


@dataclass(kw_only=True)
class RunCommand(Command):
    method: tyro.conf.Positional[str]
    """The method by name ('ezav methods' lists them; one's own as `package.module:Class`), or a
    recipe file, as 'ezav tune' writes it."""
    store: tyro.conf.Positional[Path]
    """A feature store, as 'ezav extract' or 'ezav import' writes it."""
    out: Path
    """The run folder to write. With several seeds: a folder of run folders."""
    seed: int = 0
    """The (first) seed."""
    seeds: int = 1
    """How many seeds to run, one after the other; those already there are kept."""
    together: bool = False
    """Train the seeds in one batched pass: the same results up to float noise, for methods that
    can (EZ-AVGZL). It pays on a GPU, where one small network leaves most of the device idle; on
    a CPU it does not."""
    alphas: tuple[float, ...] = ()
    """Choose the alpha of class embedding optimization among these on validation (0: the raw text
    embeddings); each costs one stage 1. By default the method's own alpha is used."""
    label: str = ""
    """What tables call this run; by default the method's name, or that of the recipe file."""
    text_encoder: str | None = None
    """Which of the store's class embeddings to use; by default its first. "A + B" joins two."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    import_code: Importing = False
    features: Literal["auto", "memory", "mapped"] = "auto"
    """Features in memory, or in a temporary file on disk from which a background thread gathers
    the batches; auto takes the disk where they would fill half of the free memory."""

    def run(self) -> dict[str, Any]:
        from ezav.benchmarks.recipe import label_of
        from ezav.features.store import FeatureStore
        from ezav.protocol.result import RESULT
        from ezav.protocol.run_folder import check_free, checkpoint_of, write_run
        from ezav.protocol.two_stage import fit_together

        at_least_one(seeds=self.seeds)
        self.label = self.label or label_of(self.method)
        if self.together and self.alphas:
            raise EzavError(
                "--together and --alphas exclude each other: every seed chooses its own alpha",
                "choose alpha with one seed, then give it as --config.classes.alpha",
            )
        store = FeatureStore.open(self.store)
        results: dict[Path, RunResult | None] = {}
        waiting = []
        for seed in range(self.seed, self.seed + self.seeds):
            folder = self.out if self.seeds == 1 else self.out / f"seed-{seed}"
            if self.seeds > 1 and (folder / RESULT).is_file():
                results[folder] = self._kept(folder, seed, store)
                progress.print(f"seed {seed}: done already, kept ({folder})")
                continue
            check_free(folder)
            results[folder] = None  # holds its place
            waiting.append((seed, folder))
        size = max(1, len(waiting)) if self.together else 1
        for start in range(0, len(waiting), size):
            some = waiting[start : start + size]
            protocols = [self._protocol(seed, store) for seed, _ in some]
            tried: dict[float, float] = {}
            if self.alphas:  # never together: one protocol
                protocols = [self._choose_alpha(protocols[0], store, some[0][1], tried)]
            with epoch_progress() as title:
                told = [title(f"{self.label}, seed {seed}") for seed, _ in some]
                checkpoints = [checkpoint_of(folder) for _, folder in some]
                fitted = fit_together(protocols, store, told, checkpoints)
            for (_, folder), one in zip(some, fitted):
                results[folder] = write_run(one, folder, self.label, tried)
        return {
            "runs": [
                {"folder": str(folder), **result.model_dump(mode="json")}
                for folder, result in results.items()
                if result is not None
            ]
        }

    def _protocol(self, seed: int, store: FeatureStore) -> TwoStageProtocol:
        from ezav.benchmarks.recipe import load_recipe
        from ezav.device import choose_device
        from ezav.protocol.two_stage import TwoStageProtocol

        config, training = default_settings(self.method, store, self.text_encoder, self.import_code)
        return TwoStageProtocol(
            method=load_recipe(self.method, import_code=self.import_code).method,
            config=getattr(self, "config", config),
            training=getattr(self, "training", training),
            seed=seed,
            device=choose_device(self.device),
            text_encoder=self.text_encoder,
            features=self.features,
        )

    def _kept(self, folder: Path, seed: int, store: FeatureStore) -> RunResult:
        """The run that is in a seed's folder, if it is the one asked for."""
        from ezav.protocol.choose import alpha_candidates
        from ezav.protocol.run_folder import difference, read_result

        result = read_result(folder)
        asked = self._protocol(seed, store)
        among = alpha_candidates(asked, self.alphas) if self.alphas else [asked]
        found = [difference(result, one, store, self.label) for one in among]
        if not all(found) and self.alphas and set(result.alphas) != set(self.alphas):
            found = ["the alphas that were tried"]
        if all(found):
            raise EzavError(
                f"'{folder}' holds a run that differs from this one in: {min(found, key=len)}",
                "choose another --out, or remove it first",
            )
        return result

    def _choose_alpha(
        self,
        protocol: TwoStageProtocol,
        store: FeatureStore,
        folder: Path,
        tried: dict[float, float],
    ) -> TwoStageProtocol:
        from ezav.protocol.choose import choose_alpha
        from ezav.protocol.run_folder import tried_beside

        def tell(alpha: float, hm: float) -> None:
            tried[alpha] = hm
            progress.print(f"alpha {alpha:g}: validation HM {hm:.1%}")

        chosen = choose_alpha(protocol, store, self.alphas, tell, tried_beside(folder))
        recipe = chosen.config.classes
        kept = f"{recipe.alpha:g}" if recipe.source == "ceo" else "0 (the raw text embeddings)"
        progress.print(f"chosen on validation: alpha {kept}")
        return chosen

    def show(self, result: dict[str, Any]) -> None:
        from ezav.protocol.result import RunResult
        from ezav.reports.tables import rich_table, summary_rows

        folders = [Path(run.pop("folder")) for run in result["runs"]]
        runs = [RunResult.model_validate(run) for run in result["runs"]]
        output.print(rich_table(summary_rows(runs)))
        output.print(f"run folder: {folders[0] if len(folders) == 1 else self.out}")
        names = [shlex.quote(str(folder)) for folder in folders]
        output.print("")
        said = " --import" if ":" in runs[0].method else ""
        output.print(f"  ezav predict {names[0]} CLIP...{said}          name what is in a clip")
        every = " ".join(names) if len(names) < 4 else f"{shlex.quote(str(self.out))}/*"
        output.print(f"  ezav report {every} --out report.html    tables and figures")


CLI = RunCommand


def cli_for(arguments: list[str]) -> type[RunCommand]:
    """The command with the options of the method that the arguments name.

    Their defaults are those of its recipe for the store's data set, where a store is named too.
    """
    if not arguments or arguments[0].startswith("-"):
        return RunCommand
    words = [word for one in arguments for word in one.split("=", 1)]  # --text-encoder=NAME, too
    named = [b for a, b in pairwise(words) if a.replace("_", "-") == "--text-encoder"]
    text = named[-1] if named else None
    store = first_store(arguments[1:])
    config, training = default_settings(arguments[0], store, text, "--import" in words)
    return dataclasses.make_dataclass(
        "RunCommand",
        [
            ("config", type(config), field(default_factory=lambda: config, kw_only=True)),
            ("training", type(training), field(default_factory=lambda: training, kw_only=True)),
        ],
        bases=(RunCommand,),
    )


def first_store(arguments: list[str]) -> FeatureStore | None:
    """The first argument that is a feature store; what is wrong with others is said later."""
    from ezav.features.store import FeatureStore

    for argument in arguments:
        try:
            return FeatureStore.open(argument)
        except (EzavError, OSError):
            continue
    return None


def default_settings(
    method: str,
    store: FeatureStore | None = None,
    text_encoder: str | None = None,
    import_code: bool = False,
) -> Any:
    """Config and training settings of a recipe for a store, as `bench` takes them."""
    from ezav.benchmarks.bench import setting_for
    from ezav.benchmarks.recipe import DEFAULT, is_file, load_recipe
    from ezav.benchmarks.runner import typed_settings
    from ezav.methods import registry

    if not is_file(method):
        # What is wrong with the name is said before a recipe is looked for.
        registry.get(method, import_code=True)
    recipe = load_recipe(method, import_code=import_code)
    setting = setting_for(recipe, store, text_encoder) if store else recipe.setting(DEFAULT)
    return typed_settings(recipe.method, setting.config, setting.training)


OnEpoch = Callable[[int, int, "ValidationEpoch | EpochLog"], None]


@contextmanager
def epoch_progress() -> Iterator[Callable[[str], OnEpoch]]:
    """Live lines for training: `title -> on_epoch`, with stage, loss and best validation HM."""
    from ezav.protocol.validation import ValidationEpoch

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} epochs {task.fields[news]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress, transient=True) as bar:

        def for_run(title: str) -> OnEpoch:
            best = 0.0
            tasks: dict[int, TaskID] = {}

            def on_epoch(stage: int, epochs: int, epoch: ValidationEpoch | EpochLog) -> None:
                nonlocal best
                if stage not in tasks:
                    tasks[stage] = bar.add_task(f"{title}: stage {stage}", total=epochs, news="")
                if isinstance(epoch, ValidationEpoch):
                    best = max(best, epoch.HM)
                    news = f"loss {epoch.log.loss:.3f} · best validation HM {best:.1%}"
                else:
                    news = f"loss {epoch.loss:.3f}"
                bar.update(tasks[stage], advance=1, news=news)

            return on_epoch

        yield for_run


__all__ = ["CLI", "RunCommand", "cli_for", "epoch_progress"]
