"""The two-stage protocol (Mercea et al., CVPR 2022), as an object that cannot leak.

Stage 1 trains on `train` and chooses the number of epochs and gamma on validation; stage 2 trains
again from scratch on `train + val` for that number of epochs. Test clips are read by
`FittedProtocol.test` alone, and a `FittedProtocol` comes from validation alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.features.index import class_checksum
from ezav.features.splits import STAGE_2
from ezav.features.store import FeatureStore
from ezav.methods import registry
from ezav.methods.base import Dims, Method
from ezav.methods.common.gated import Gate, Gated
from ezav.protocol.best_epoch import Progress, best_epoch, follow
from ezav.protocol.by_folds import REPEATED, FoldData, choose_by_folds, fold_data, stored
from ezav.protocol.class_choice import REPEATS, Tried, choose_classes
from ezav.protocol.confusion import SeenClassifier
from ezav.protocol.default_folds import FEWEST, OWN_FOLDS, learns_on_folds, needs_folds
from ezav.protocol.epochs import Steps, alone, together
from ezav.protocol.evaluation import StageModel
from ezav.protocol.fitted import FittedProtocol, _fitted
from ezav.protocol.scanning import cut_of, learned_of
from ezav.protocol.settings import plain_config
from ezav.protocol.stages import Stage, StageReader
from ezav.protocol.validation import Chosen, Validated, ValidationEpoch
from ezav.training.checkpoint import Checkpoint
from ezav.training.config import TrainingConfig
from ezav.training.trainer import EpochLog, Trainer, build_method

STATE_VERSION = 1
"""Of what a checkpoint holds; raised when training could not go on from an older one."""


def _silent(stage: int, epochs: int, epoch: ValidationEpoch | EpochLog) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class TwoStageProtocol:
    """How one run is made: a method, its settings, a seed.

    Frozen, so that what was fitted says with which settings; `dataclasses.replace` makes another.
    :func:`ezav.recipes.protocol_for` makes one from a recipe.

    Raises:
        EzavError: there is no such method.

    Example:
        >>> run = TwoStageProtocol(method="ez_avgzl", seed=1)
        >>> run.config.similarity, replace(run, seed=2).seed
        ('attention', 2)
    """

    method: str
    """A registered method, or one of one's own as `package.module:Class`."""
    config: Any = None
    """The method's own `Config`; None: its defaults."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    device: str = "cpu"
    text_encoder: str | None = None
    """Use these class embeddings of the store; by default its first."""
    features: Literal["auto", "memory", "mapped"] = "auto"
    """Features in memory, or on disk; by default the latter where they fill half of the memory."""
    folds: int | None = None
    """Class folds of all known classes that choose instead of the validation classes; 0: these
    choose. None: as :meth:`folds_on` says of the store."""
    gate: Gate = "none"
    """A detector decides for each clip whether it is of a training class, and where its threshold
    comes from (:mod:`ezav.methods.common.gated`)."""

    def __post_init__(self) -> None:
        method = self._method()
        if self.config is None:
            object.__setattr__(self, "config", method.Config())

    def _method(self) -> type[Method]:
        return registry.get(self.method, import_code=True)  # named by whoever made this protocol

    @property
    def _modality(self) -> str:
        """`both`, or the only one that the method reads."""
        return getattr(self.config, "modalities", "both")

    def _class_embeddings(self, stage: Stage) -> ClassEmbeddings:
        recipe = getattr(self.config, "classes", None) or ClassEmbeddingRecipe(source="raw")
        reads = recipe.reads_confusions
        confused = SeenClassifier(stage, self._modality).confused() if reads else ()
        return recipe.prepare(stage.text, self.seed, confused)

    def _trainer(self, stage: Stage) -> tuple[Trainer, StageModel]:
        classes = self._class_embeddings(stage)
        method = build_method(
            self._method(),
            self.config,
            Dims(audio=stage.train.audio.dim, visual=stage.train.visual.dim, text=classes.dim),
            self.seed,
        )
        if self.gate != "none":
            method = Gated(method, self.gate, self.seed)
            method.know_others(classes.vectors[~stage.seen])
        method = method.to(choose_device(self.device))
        if stage.labels is not None:
            method.know_labels(stage.labels)
        trainer = Trainer(
            method, stage.train, classes.vectors[stage.seen], self.training, self.seed
        )
        return trainer, StageModel(method, classes, stage.seen)

    def fit(
        self,
        store: FeatureStore,
        on_epoch: Progress = _silent,
        checkpoint: str | Path | None = None,
        *,
        calibrate: bool = True,
    ) -> FittedProtocol:
        """Both stages: choose epochs and gamma on validation, then train on train + val.

        No test clip is read; of the unseen test classes only the names are known.

        Args:
            store: the features.
            on_epoch: told of every epoch.
            checkpoint: a file for the state of training; a run that was stopped goes on from it,
                on a CPU to the same result bit for bit. It stays: what comes next, the test, may
                be stopped as well (`write_run` removes the one beside its folder).
            calibrate: learn probabilities and how recordings are best cut, too (`calibration_`);
                it takes seconds, and only a recogniser reads it.

        Raises:
            EzavError: the store does not fit the protocol or the method.
        """
        return alone(self.steps(self.reader(store), on_epoch, checkpoint, calibrate))

    def reader(self, store: FeatureStore) -> StageReader:
        """What reads the stages of a store for this protocol.

        Raises:
            EzavError: a gate, where every class is trained on.
        """
        if self.gate != "none" and store.is_closed:
            raise EzavError(
                "every class is trained on: there are no others for a gate to tell them from",
                "leave `gate` out",
            )
        return StageReader(
            store,
            self.text_encoder,
            choose_device(self.device),
            self.features,
            labels=self._method().wants_labels(self.config),
        )

    def steps(
        self,
        reader: StageReader,
        on_epoch: Progress,
        checkpoint: str | Path | None,
        calibrate: bool = True,
    ) -> Steps[FittedProtocol]:
        """:meth:`fit`, asking for every epoch of training instead of running it."""
        begun = time.perf_counter()
        run, tried = self.with_classes(reader)
        took = {"classes": time.perf_counter() - begun} if tried else {}
        keeper = Checkpoint(checkpoint, run.key(reader.store))
        state = keeper.load() or {}
        chosen, kept = yield from run._choose(reader, state, keeper, on_epoch)
        learned = learned_of(chosen) if calibrate else None
        kept["cut"] = state["cut"] if "cut" in state else cut_of(chosen.held, learned)
        model, seconds = yield from follow(
            reader.stage(2), chosen, run._trainer, kept, state, keeper, on_epoch
        )
        took |= {"stage_1": chosen.seconds, "stage_2": seconds}
        return _fitted(run, reader.store, chosen, model, took, tried, learned, kept["cut"])

    def with_classes(self, reader: StageReader) -> tuple[TwoStageProtocol, Tried]:
        """This protocol with the class embeddings that validation chose, and what it tried.

        Where `classes.source` is not `auto` nothing is chosen. The clips that choose are those
        that choose everything else: class folds, or the validation classes.
        """
        recipe = getattr(self.config, "classes", None)
        if recipe is None or recipe.source != "auto":
            return self, {}
        if self.folds_on(reader.store):
            # All seeds of a run choose alike, so that they differ in their training alone.
            folds = self._folds(reader, REPEATS, seed=0)
        else:
            stage = reader.stage(1)
            folds = [FoldData(stage, reader.evaluation(stage))]
        among = recipe.alternatives()
        if getattr(self.config, "prior", "none") != "none":
            among = among[:1]  # what a prior says of a clip is said in the space of the text
        chosen, tried = choose_classes(among, folds, self._modality)
        return replace(self, config=replace(self.config, classes=chosen)), tried

    def validate(self, store: FeatureStore, on_epoch: Progress = _silent) -> Validated:
        """Stage 1 alone: all that a choice of settings may look at. No test clip is read.

        The result cannot test anything; :meth:`fit` with the same settings finds the same.

        Raises:
            EzavError: the store does not fit the protocol or the method.
        """
        reader = self.reader(store)
        run, _ = self.with_classes(reader)
        chosen, _ = alone(run._choose(reader, {}, Checkpoint(None, ""), on_epoch))
        hm = max(epoch.HM for epoch in chosen.history)
        return Validated(
            HM=hm, gamma=chosen.gamma, epoch=chosen.epoch, history=tuple(chosen.history)
        )

    def folds_on(self, store: FeatureStore) -> int:
        """How many class folds choose epoch and gamma on a store; 0: its validation classes do.

        Those asked for; else the method's own number, else four where the splits were drawn, or
        where fewer than four classes validate. Fewer where classes are few. Published and
        simulated splits keep the published protocol.

        Example:
            >>> TwoStageProtocol(method="best").folds_on(store)  # of ten known classes
            5
        """
        if self.folds is not None:
            return self.folds
        method = self._method()
        wanted = method.folds or (OWN_FOLDS if needs_folds(store) else 0)
        if not wanted or not (learns_on_folds(method) or store.is_closed):
            return 0
        known = len({name for split in STAGE_2.train for name in store.split_classes(split)})
        few = known < FEWEST and not method.folds and not store.is_closed
        return 0 if few else max(2, min(wanted, known // 2))

    def _folds(self, reader: StageReader, repeats: int, seed: int) -> list[FoldData]:
        """Class folds of the clips that stage 2 trains on."""
        store = reader.store
        return fold_data(reader.stage(2), self.folds_on(store), repeats, seed, store.sources)

    def _choose(
        self, reader: StageReader, state: dict[str, Any], keeper: Checkpoint, on_epoch: Progress
    ) -> Steps[tuple[Chosen, dict[str, Any]]]:
        """Epoch, gamma and learned values, by class folds or stage 1; and as a checkpoint has them.

        Class folds are of the clips that stage 2 trains on; stage 1 trains on `train`.
        """
        if self.folds_on(reader.store):
            clips = len(reader.stage(2).train)
            small = self._method().trainable is False and clips <= REPEATED
            folds = self._folds(reader, 2 if small else 1, self.seed)
            chosen = yield from choose_by_folds(
                folds, self._trainer, self.training, state, keeper, on_epoch
            )
            return chosen, stored(chosen)
        stage = reader.stage(1)
        clips_of = reader.evaluation(stage)
        best = yield from best_epoch(
            stage, clips_of, self._trainer, self.training, state, keeper, on_epoch
        )
        return best.chosen(), {"validated": best.state()}

    def key(self, store: FeatureStore) -> str:
        """What a stored state of training must share to go on, whichever version stored it."""
        facts = {
            "state": STATE_VERSION,
            "method": self.method,
            "config": plain_config(self.config),
            "training": asdict(self.training),
            "seed": self.seed,
            "text_encoder": self.text_encoder,
            "store": store.fingerprint,
        }
        if folds := self.folds_on(store):
            facts["folds"] = folds
        if self.gate != "none":
            facts["gate"] = self.gate
        if store.texts:  # the fingerprint is that of the store on disk
            facts["texts"] = [class_checksum(text) for text in store.texts]
        return json.dumps(facts, sort_keys=True)


def fit_together(
    protocols: Sequence[TwoStageProtocol],
    store: FeatureStore,
    on_epoch: Sequence[Progress] | None = None,
    checkpoints: Sequence[str | Path | None] | None = None,
) -> list[FittedProtocol]:
    """`fit` of protocols that differ in their seed only, training in one batched pass.

    The results are those of :meth:`TwoStageProtocol.fit` up to float noise. A single protocol is
    fitted as it is.

    Raises:
        EzavError: as `fit`; the method cannot train several seeds in one pass; the protocols
            differ in more than the seed.

    Example:
        >>> one, other = TwoStageProtocol(method="devise"), TwoStageProtocol(method="ale", seed=1)
        >>> fit_together([one, other], store)
        Traceback (most recent call last):
        ezav.errors.EzavError: protocols that train together may differ in their seed only
    """
    first = protocols[0]
    if any(replace(one, seed=first.seed) != first for one in protocols):
        raise EzavError("protocols that train together may differ in their seed only")
    told = on_epoch or [_silent] * len(protocols)
    kept = checkpoints or [None] * len(protocols)
    if len(protocols) == 1:
        return [first.fit(store, told[0], kept[0])]
    reader = first.reader(store)
    return together(
        [one.steps(reader, tell, path) for one, tell, path in zip(protocols, told, kept)]
    )
