"""Train and test a method on a feature store; without a method, the best that is known.

`ezav run STORE --out RUN` learns a stack of closed forms and of what the encoders know by name, by
class folds, and says what each member is worth. With a method: the two-stage protocol.

Stage 1 chooses the number of epochs and gamma on validation; stage 2 trains again on train and
validation together, and only then are the test clips scored. Settings are those of the method's
recipe for the store's data set unless given. Writes a run folder that says everything about itself.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.text import Text

import ezav
from ezav.cli.arguments import understood
from ezav.cli.common import (
    Command,
    Importing,
    at_least_one,
    output,
    progress,
    tell_remarks,
    tell_seen_unseen,
)
from ezav.cli.flags import error_in_flags, flags_of
from ezav.cli.runs_progress import epoch_progress
from ezav.errors import EzavError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore
    from ezav.protocol.result import RunResult
    from ezav.protocol.two_stage import TwoStageProtocol
    from ezav.protocol.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class RunDone:
    """A run and where it lies; as JSON the fields of `result.json` with `folder` before them."""

    folder: Path
    result: RunResult

    def as_dict(self) -> dict[str, object]:
        """The run as JSON-ready data."""
        return {"folder": str(self.folder), **self.result.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class RunsDone:
    """The runs of all seeds, those done before among them.

    Attributes:
        runs: one a seed.
        remarks: what the text encoder cannot read of the class names, or not tell apart.
        verdict: what they reached, in words; None where a side has no test clips.
    """

    runs: tuple[RunDone, ...]
    remarks: tuple[str, ...] = ()
    verdict: Verdict | None = None


DEFAULT_METHOD = "best"
"""What is run where only a store is named."""


@dataclass(kw_only=True)
class RunOptions(Command):
    """The options that are there whatever the method is."""

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
    folds: int | None = None
    """Let so many class folds of all known classes choose epoch and gamma, instead of the few
    validation classes; 0 uses these. By default as the method has it."""
    import_code: Importing = False
    features: Literal["auto", "memory", "mapped"] = "auto"
    """Features in memory, or in a temporary file on disk from which a background thread gathers
    the batches; auto takes the disk where they would fill half of the free memory."""


@dataclass(kw_only=True)
class RunCommand(RunOptions):
    """A run, with the settings of its method once that is known (:func:`cli_for`)."""

    method: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")]
    """The method by name ('ezav methods' lists them; one's own as `package.module:Class`), or a
    recipe file, as 'ezav tune' writes it."""
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """A feature store, as 'ezav extract' or 'ezav import' writes it."""
    config: tyro.conf.Suppress[Any] = None
    training: tyro.conf.Suppress[Any] = None

    def run(self) -> RunsDone:
        from ezav.features.store import FeatureStore
        from ezav.features.unread import remarks_of
        from ezav.protocol.verdict import verdict

        at_least_one(seeds=self.seeds)
        if self.together and self.alphas:
            raise EzavError(
                "--together and --alphas exclude each other: every seed chooses its own alpha",
                "choose alpha with one seed, then give it as --config.classes.alpha",
            )
        store = FeatureStore.open(self.store)
        remarks = remarks_of(store.class_embeddings(self.text_encoder))
        tell_remarks(remarks)
        tell_seen_unseen(store)
        wanted = self._wanted(self.protocol(store))
        found = {folder: self._kept(folder, one, store) for folder, one in wanted.items()}
        waiting = [folder for folder, kept in found.items() if kept is None]
        for some in [waiting] if self.together and waiting else [[one] for one in waiting]:
            found.update(self._train({folder: wanted[folder] for folder in some}, store))
        done = {folder: result for folder, result in found.items() if result is not None}
        _tell_few_validate(store, list(done.values()))
        return RunsDone(
            runs=tuple(RunDone(folder=folder, result=result) for folder, result in done.items()),
            remarks=tuple(remarks),
            verdict=verdict(list(done.values())),
        )

    def protocol(self, store: FeatureStore) -> TwoStageProtocol:
        """What the first seed trains and tests by: the recipe's, with the options given here."""
        from ezav.device import choose_device
        from ezav.recipes import protocol_for

        run = protocol_for(
            self.method,
            store,
            seed=self.seed,
            device=choose_device(self.device),
            text_encoder=self.text_encoder,
            features=self.features,
            import_code=self.import_code,
        )
        given = {"config": self.config, "training": self.training, "folds": self.folds}
        return replace(run, **{name: one for name, one in given.items() if one is not None})

    @property
    def _label(self) -> str:
        from ezav.recipes.recipe import label_of

        return self.label or label_of(self.method)

    def _wanted(self, first: TwoStageProtocol) -> dict[Path, TwoStageProtocol]:
        """Run folder -> what it shall hold."""
        if self.seeds == 1:
            return {self.out: first}
        seeds = range(self.seed, self.seed + self.seeds)
        return {self.out / f"seed-{seed}": replace(first, seed=seed) for seed in seeds}

    def _kept(self, folder: Path, asked: TwoStageProtocol, store: FeatureStore) -> RunResult | None:
        """The run that is in a seed's folder, if it is the one asked for; None: none is there."""
        from ezav.protocol.choose import alpha_candidates
        from ezav.protocol.kept import difference
        from ezav.protocol.result import RESULT
        from ezav.protocol.run_folder import check_free, read_result

        if self.seeds == 1 or not (folder / RESULT).is_file():
            check_free(folder)
            return None
        result = read_result(folder)
        among = alpha_candidates(asked, self.alphas) if self.alphas else [asked]
        found = [difference(result, one, store, self._label) for one in among]
        if not all(found) and self.alphas and set(result.alphas) != set(self.alphas):
            found = ["the alphas that were tried"]
        if all(found):
            raise RefusedError(
                f"'{folder}' holds a run that differs from this one in: {min(found, key=len)}",
                "choose another `out`, or remove it first",
            )
        by = result.versions.get("ezav", "")
        other = "" if by == ezav.__version__ else f", by ezav {by}"
        progress.print(f"seed {asked.seed}: done already, kept ({folder}{other})")
        return result

    def _train(
        self, wanted: dict[Path, TwoStageProtocol], store: FeatureStore
    ) -> dict[Path, RunResult]:
        """Fit, test and write the runs, one or all together."""
        from ezav.protocol.run_folder import checkpoint_of, write_run
        from ezav.protocol.two_stage import fit_together

        tried: dict[float, float] = {}
        if self.alphas:  # never together: one protocol
            wanted = {
                folder: self._choose_alpha(one, store, folder, tried)
                for folder, one in wanted.items()
            }
        with epoch_progress() as title:
            told = [title(f"{self._label}, seed {one.seed}") for one in wanted.values()]
            checkpoints = [checkpoint_of(folder) for folder in wanted]
            fitted = fit_together(list(wanted.values()), store, told, checkpoints)
        return {
            folder: write_run(one, folder, self._label, tried)
            for folder, one in zip(wanted, fitted)
        }

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

    def show(self, result: RunsDone) -> None:
        from ezav.reports.tables import rich_table, summary_rows

        folders = [run.folder for run in result.runs]
        runs = [run.result for run in result.runs]
        output.print(rich_table(summary_rows(runs)))
        for run in runs:
            _show_choice(run)
        if result.verdict is not None:
            output.print(result.verdict.sentence)
        output.print(f"run folder: {folders[0] if len(folders) == 1 else self.out}")
        names = [shlex.quote(str(folder)) for folder in folders]
        output.print("")
        said = " --import" if ":" in runs[0].method else ""
        output.print(f"  ezav predict {names[0]} CLIP...{said}          name what is in a clip")
        every = " ".join(names) if len(names) < 4 else f"{shlex.quote(str(self.out))}/*"
        output.print(f"  ezav report {every} --out report.html    tables and figures")
        if result.verdict is not None and result.verdict.warning:
            output.print("")
            output.print(Text(result.verdict.warning, "bold red"))


_FEW_VALIDATE = 4
"""Fewer classes than this, held out, tell one epoch from another by accident."""


def _tell_few_validate(store: FeatureStore, runs: Sequence[RunResult]) -> None:
    """Say where too few classes chose epoch and gamma."""
    classes = len(store.split_classes("val_unseen"))
    if any(not run.folds and run.epoch for run in runs) and classes < _FEW_VALIDATE:
        progress.print(
            Text("few classes validate:", "yellow"),
            f"{classes} cannot choose an epoch and gamma; --folds 5 lets all known classes choose",
            soft_wrap=True,
        )


def _show_choice(run: RunResult) -> None:
    """How certain the choice by class folds is, and what each member was worth there."""
    if run.validation_error is not None:
        output.print(
            f"{run.folds} class folds: HM {run.validation.HM:.1%} ± {run.validation_error:.1%}"
            f" (standard error over folds), gamma {run.gamma:.2f}"
        )
    for name, one in run.members.items():
        output.print(
            f"  {name:10} weight {one.weight:5.2f}   alone {one.alone:6.1%}"
            f"   the stack without it {-one.lost:+.1%}"
        )


CLI = RunCommand


def cli_for(arguments: list[str]) -> type[RunCommand]:
    """The command with the options of the method that the arguments name.

    Their defaults are those of its recipe for the store's data set, where a store is named too.
    What the arguments name is parsed by tyro as everything is: first for the method, whose options
    are not known yet; then with those options for the store; `main` does it with all defaults.

    Raises:
        EzavError: no such method or recipe, or one that the store cannot have.
    """
    words = understood(_Words, arguments)
    if words is None or not words.words:
        return RunCommand
    if len(words.words) == 1 and _is_store(words.words[0]):
        run = _with_settings(
            DEFAULT_METHOD, _store_at(Path(words.words[0])), words.text_encoder, words.import_code
        )
        return _with_method(run, DEFAULT_METHOD)
    method = words.words[0]
    if len(words.words) == 1 and os.sep in method and not Path(method).exists():
        raise NotFoundError(
            f"there is no feature store '{method}'", "'ezav extract VIDEOS --out STORE' makes one"
        )
    try:
        command = _with_settings(method, None, words.text_encoder, words.import_code)
        named = understood(command, arguments, command(method=method, store=Path(), out=Path()))
        store = None if named is None else _store_at(named.store)
        if named is None or store is None:
            return command
        return _with_settings(method, store, named.text_encoder, named.import_code)
    except EzavError as error:  # `main` has no command yet to take the flags from
        raise error_in_flags(error, flags_of(words)) from error


@dataclass(kw_only=True)
class _Words(RunOptions):
    """Any words and every option whose name is known before the method is."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    out: Path = Path()


def _with_settings(
    method: str, store: FeatureStore | None, text_encoder: str | None, import_code: bool
) -> type[RunCommand]:
    """The command with a method's settings as options; defaults are its recipe's for the store."""
    from ezav.recipes import protocol_for

    run = protocol_for(method, store, text_encoder=text_encoder, import_code=import_code)
    return dataclasses.make_dataclass(
        "RunCommand",
        [
            ("config", type(run.config), field(default_factory=lambda: run.config)),
            ("training", type(run.training), field(default_factory=lambda: run.training)),
        ],
        bases=(RunCommand,),
        kw_only=True,
    )


def _with_method(command: type[RunCommand], method: str) -> type[RunCommand]:
    """The command for one method, which is then no word of it."""
    fixed = ("method", tyro.conf.Suppress[str], field(default=method))
    return dataclasses.make_dataclass("RunCommand", [fixed], bases=(command,), kw_only=True)


def _is_store(word: str) -> bool:
    """Whether the only word names a store: then no method is named."""
    from ezav.recipes.recipe import is_file, recipe_names

    return word not in recipe_names() and not is_file(word) and Path(word).is_dir()


def _store_at(path: Path) -> FeatureStore | None:
    """The store there; what is wrong with it is said when it is used."""
    from ezav.features.store import FeatureStore

    try:
        return FeatureStore.open(path)
    except (EzavError, OSError):
        return None


__all__ = ["CLI", "RunCommand", "cli_for"]
