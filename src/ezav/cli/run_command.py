"""The command `ezav run` for one method: its options, and the runs that they ask for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.text import Text

import ezav
from ezav.cli.common import (
    Command,
    Importing,
    at_least_one,
    described_by,
    progress,
    tell_read,
    tell_remarks,
    tell_seen_unseen,
)
from ezav.cli.run_shown import RunDone, RunsDone, show_runs
from ezav.cli.runs_progress import epoch_progress
from ezav.errors import EzavError, RefusedError
from ezav.naming import shown

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore
    from ezav.protocol.result import RunResult
    from ezav.protocol.two_stage import TwoStageProtocol


@dataclass(kw_only=True)
class RunOptions(Command):
    """The options that are there whatever the method is."""

    out: Path
    """Write the run into this folder; with several seeds it becomes a folder of run folders."""
    seed: int = 0
    """Run with this seed, or with several from this one on."""
    seeds: int = 1
    """Run so many seeds, one after the other; those already there are kept."""
    together: bool = False
    """Train the seeds in one batched pass: the same results up to float noise, for methods that
    can (EZ-AVGZL). It pays on a GPU, where one small network leaves most of the device idle; on
    a CPU it does not."""
    alphas: tuple[float, ...] = ()
    """Choose the alpha of class embedding optimization among these on validation (0: the raw text
    embeddings); each costs one stage 1. By default the method's own alpha is used."""
    recipe: str = ""
    """Take the settings of this recipe of the method instead of its own: a name (`paper` is
    EZ-AVGZL by the letter of its paper) or a file."""
    label: str = ""
    """Call the run this in tables; by default it has the method's name, or that of the recipe
    file."""
    text_encoder: str | None = None
    """Use these class embeddings of the store; by default its first. "A + B" joins two."""
    unseen: tuple[str, ...] | None = None
    """Set these classes of the store apart instead of those it was drawn with; `none`: train on
    every class and test on other clips of them."""
    groups: tuple[str, ...] = ()
    """Read what the clips were cut from in a CSV file with the columns path and source (or the
    columns named after it: their values together); no source is then on two sides of a split or a
    fold. A store that was extracted with --groups knows it."""
    descriptions: Path | None = None
    """Let the text encoder read the descriptions of a CSV (name,description,…) or YAML file in the
    place of the class names; the store stays as it is."""
    device: str = "auto"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    folds: int | None = None
    """Let so many class folds of all known classes choose epoch and gamma, instead of the few
    validation classes; 0 uses these. By default as the method has it, else 4 on data of one's
    own; published splits keep the published protocol."""
    gate: Literal["none", "learned", "mean", "released"] = "none"
    """Let a detector decide for each clip whether it is of a class that was trained on, instead of
    gamma (AV-OOD): its threshold is learned on validation, the mean of the training clips, or half
    of it as in the author's code. It was not better than gamma where it was measured."""
    import_code: Importing = False
    features: Literal["auto", "memory", "mapped"] = "auto"
    """Keep features in memory, or in a temporary file on disk from which a background thread
    gathers the batches; auto takes the disk where they would fill half of the free memory."""

    def redrawn(self, store: FeatureStore) -> FeatureStore:
        """The store with the splits that `unseen` and `groups` ask for."""
        from ezav.features.redraw import named_unseen, redrawn
        from ezav.features.sources import read_sources

        sources = None
        if self.groups:
            file, *columns = self.groups
            sources = read_sources(Path(file), columns or ("source",))
        return redrawn(store, named_unseen(self.unseen, store.classes), sources)


@dataclass(kw_only=True)
class RunCommand(RunOptions):
    """A run, with the settings of its method once that is known (:mod:`ezav.cli.run`)."""

    method: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")]
    """Run this method: a name ('ezav methods' lists them), your own as `package.module:Class`, or a
    recipe file, as 'ezav tune' writes it."""
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """Train and test on this feature store, as 'ezav extract' or 'ezav import' writes it."""
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
        store = self._described(self.redrawn(FeatureStore.open(self.store)))
        text = store.class_embeddings(self.text_encoder)
        remarks = remarks_of(text)
        tell_read(text.parts[0].get("read", {}))
        tell_remarks(remarks)
        tell_seen_unseen(store)
        _tell_data(store)
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

    def _described(self, store: FeatureStore) -> FeatureStore:
        from ezav.device import choose_device

        if self.descriptions is None:
            return store
        return described_by(
            store,
            self.descriptions,
            self.text_encoder,
            choose_device(self.device),
            self.import_code,
        )

    def protocol(self, store: FeatureStore) -> TwoStageProtocol:
        """What the first seed trains and tests by: the recipe's, with the options given here."""
        from ezav.device import choose_device
        from ezav.recipes import protocol_for

        run = protocol_for(
            self.recipe or self.method,
            store,
            seed=self.seed,
            device=choose_device(self.device),
            text_encoder=self.text_encoder,
            features=self.features,
            import_code=self.import_code,
        )
        given = {"config": self.config, "training": self.training, "folds": self.folds}
        given = {name: one for name, one in given.items() if one is not None}
        return replace(run, gate=self.gate, **given)

    @property
    def _label(self) -> str:
        from ezav.recipes.recipe import label_of

        return self.label or label_of(self.recipe or self.method)

    def _wanted(self, first: TwoStageProtocol) -> dict[Path, TwoStageProtocol]:
        """Run folder -> what it shall hold."""
        if self.seeds == 1:
            return {self.out: first}
        seeds = range(self.seed, self.seed + self.seeds)
        return {self.out / f"seed-{seed}": replace(first, seed=seed) for seed in seeds}

    def _kept(self, folder: Path, asked: TwoStageProtocol, store: FeatureStore) -> RunResult | None:
        """The run that is in a seed's folder, if it is the one asked for; None: none is there."""
        from ezav.protocol.choose import alpha_candidates
        from ezav.protocol.files import RESULT
        from ezav.protocol.kept import difference
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
        from ezav.alone import alone
        from ezav.protocol.run_folder import check_free

        with ExitStack() as stack:
            for folder in wanted:
                stack.enter_context(alone(folder))
                check_free(folder)  # another process may have written it meanwhile
            return self._written(wanted, store)

    def _written(
        self, wanted: dict[Path, TwoStageProtocol], store: FeatureStore
    ) -> dict[Path, RunResult]:
        from ezav.protocol.run_folder import checkpoint_of, write_run
        from ezav.protocol.two_stage import fit_together
        from ezav.recipes import frozen_row

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
        with progress.status("the frozen row"):
            frozen = frozen_row(next(iter(wanted.values())), store)
        return {
            folder: write_run(one, folder, self._label, tried, frozen)
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
        show_runs(result, self.out)


def _tell_data(store: FeatureStore) -> None:
    """Say in one line what is wrong with the clips; read from the index alone."""
    from ezav.checking import at_a_glance

    if line := at_a_glance(store):
        said = f"{line}; 'ezav check {shlex.quote(str(store.path))}' says which"
        progress.print(Text("the data:", "yellow"), shown(said), soft_wrap=True)


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
