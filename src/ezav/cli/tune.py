"""Choose a method's settings on validation, and write the best as a recipe.

The objective is the mean validation HM over seeds (stage 1 of the protocol: no test clip is
read). The search lives in --out: stop it at any time, and the same command goes on.

  ezav tune STORE --out DIR --trials 50
  ezav bench STORE --methods DIR/ez_avgzl-tuned.yaml ez_avgzl --out BENCH
  ezav run DIR/ez_avgzl-tuned.yaml STORE --out RUN
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from ezav.cli.common import Command, Importing, at_least_one, output

if TYPE_CHECKING:
    from ezav.benchmarks.study import TrialResult


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """What a search found.

    Attributes:
        recipe: the file that was written, with the best trial's settings.
        best: the best trial on validation.
        recipe_as_given: the trial of the recipe as it was; None where it has not ended.
        trials: all, in order.
    """

    recipe: Path
    best: TrialResult
    recipe_as_given: TrialResult | None
    trials: list[TrialResult]


@dataclass(kw_only=True)
class TuneCommand(Command):
    arguments: ClassVar[dict[str, str]] = {"recipe": "method"}

    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Train and test on this feature store."""
    out: Path
    """Write the search into this folder."""
    trials: int
    """Make so many trials in all, those of earlier calls included. A space of choices only ends
    when all of them are tried."""
    method: str = "ez_avgzl"
    """Tune this method (your own as `package.module:Class`), or a recipe file: what the space does
    not name stays as it says."""
    space: Path | None = None
    """Search the space of this YAML file, `config.layers: {choices: [1, 2]}`; by default the
    method's."""
    seeds: int = 3
    """Run each trial with so many seeds, from 0 on."""
    processes: int | None = None
    """Make so many trials in parallel; by default one for each CPU."""
    epochs: int | None = None
    """Override the recipe's number of epochs."""
    batches_per_epoch: int | None = None
    """Override the recipe's batches an epoch."""
    text_encoder: str | None = None
    """Use these class embeddings of the store; by default its first."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False

    def run(self) -> TuneResult:
        from importlib.util import find_spec

        from ezav.errors import UnavailableError

        if find_spec("optuna") is None:
            raise UnavailableError("tuning needs optuna", "pip install 'ezav[tune]'")
        at_least_one(trials=self.trials, seeds=self.seeds, processes=self.processes)
        from ezav.benchmarks.search import search_for
        from ezav.benchmarks.space import read_space, space_of
        from ezav.benchmarks.tune import as_given, best_of, tune, write_search
        from ezav.cli.runs_progress import runs_progress
        from ezav.device import choose_device
        from ezav.features.store import FeatureStore
        from ezav.recipes import load_recipe

        method = load_recipe(self.method, import_code=self.import_code).method
        overrides = {"epochs": self.epochs, "batches_per_epoch": self.batches_per_epoch}
        search = search_for(
            FeatureStore.open(self.store),
            self.method,
            space_of(method) if self.space is None else read_space(self.space),
            range(self.seeds),
            training={k: v for k, v in overrides.items() if v is not None},
            text_encoder=self.text_encoder,
            device=choose_device(self.device),
            import_code=self.import_code,
        )
        best = -1.0
        with runs_progress(method, self.trials) as tell:

            def on_trial(trial: TrialResult, kept: bool) -> None:
                nonlocal best
                best = max(best, trial.HM or 0.0)
                hm = trial.state if trial.HM is None else f"validation HM {trial.HM:.1%}"
                tell(f"trial {trial.number}: {hm}, best {best:.1%}", kept)

            trials = tune(search, self.out, self.trials, self.processes, on_trial)
        recipe = write_search(search, trials, self.out)
        return TuneResult(
            recipe=recipe,
            best=best_of(trials),
            recipe_as_given=as_given(search, trials),
            trials=trials,
        )

    def show(self, result: TuneResult) -> None:
        best, first = result.best, result.recipe_as_given
        states = [trial.state for trial in result.trials]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        output.print(f"{len(states)} trials: {counts}")
        if first and first.HM is not None:
            output.print(f"as given:      validation HM {first.HM:.1%}")
        output.print(f"trial {best.number:<3} best: validation HM {best.HM:.1%}")
        for name, value in best.settings.items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            output.print(f"  {name:<26} {shown}")
        output.print(f"recipe: {result.recipe}")
        output.print("The best of many trials is optimistic on validation: let 'ezav bench' judge.")
        recipe, store = shlex.quote(str(result.recipe)), shlex.quote(str(self.store))
        output.print(f"\n  ezav run {recipe} {store} --out RUN      a run with these settings")


CLI = TuneCommand
