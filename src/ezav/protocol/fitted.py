"""`FittedProtocol`: what validation made, and the only thing that can test."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from typing import TYPE_CHECKING

from ezav.errors import EzavError
from ezav.protocol.cut import Cut

if TYPE_CHECKING:  # who answers for a run needs no store
    from ezav.features.store import FeatureStore
    from ezav.protocol.calibration import Calibration
    from ezav.protocol.class_choice import Tried
    from ezav.protocol.evaluation import Evaluation, StageModel
    from ezav.protocol.two_stage import TwoStageProtocol
    from ezav.protocol.validation import Chosen, ValidationEpoch

_VALIDATION = object()
"""Proof that a choice on validation made a `FittedProtocol`."""


@dataclass(frozen=True, kw_only=True)
class FittedProtocol:
    """A method whose epoch and gamma were learned on validation: the only thing that can test.

    Attributes:
        model_: the stage-2 model.
        gamma_, epoch_: learned in stage 1.
        validation_: the stage-1 scores of the validation clips at that epoch.
        history_: the epochs of stage 1.
        folds_: where class folds chose instead of stage 1, the scores of each; `validation_` is
            the first.
        classes_tried_: where validation chose the class embeddings (`classes.source: auto`), the
            HM of each alternative in each fold; `protocol` has the one that was chosen.
        calibration_: how scores become probabilities, and how recordings are cut; None where that
            was not asked for, or validation teaches nothing.

    Raises:
        EzavError: made by anything but :meth:`TwoStageProtocol.fit`.
    """

    protocol: TwoStageProtocol
    store: FeatureStore
    model_: StageModel
    gamma_: float
    epoch_: int
    validation_: Evaluation
    history_: tuple[ValidationEpoch, ...]
    seconds: dict[str, float]
    folds_: tuple[Evaluation, ...] = ()
    classes_tried_: Tried = field(default_factory=dict)
    calibration_: Calibration | None = None
    proof: InitVar[object] = None
    """Not kept, so that a changed copy (`dataclasses.replace`) lacks it."""

    def __init_subclass__(cls) -> None:
        raise TypeError("FittedProtocol cannot be subclassed: only validation makes one")

    def __post_init__(self, proof: object) -> None:
        if proof is not _VALIDATION:
            raise EzavError(
                "a protocol is fitted by TwoStageProtocol.fit only",
                "gamma and the epoch must come from validation",
            )

    def test(self) -> Evaluation:
        """Scores of the test clips, all classes of stage 2 being candidates."""
        reader = self.protocol.reader(self.store)
        return self.model_.evaluate(reader.evaluation(reader.stage(2)))


def _fitted(
    protocol: TwoStageProtocol,
    store: FeatureStore,
    chosen: Chosen,
    model: StageModel,
    seconds: dict[str, float],
    classes_tried: Tried | None = None,
    calibration: Calibration | None = None,
    cut: dict[str, float] | None = None,
) -> FittedProtocol:
    """What `protocol` found on validation (`chosen`) with the stage-2 model trained by it.

    For the protocol itself: whoever calls it answers for `chosen` having seen no test clip.
    """
    if calibration is not None and cut is not None:
        calibration = replace(calibration, cut=Cut.of(cut))
    return FittedProtocol(
        protocol=protocol,
        store=store,
        model_=model,
        gamma_=chosen.gamma,
        epoch_=chosen.epoch,
        validation_=chosen.evaluation,
        history_=chosen.history,
        seconds=seconds,
        folds_=chosen.folds,
        classes_tried_=classes_tried or {},
        calibration_=calibration,
        proof=_VALIDATION,
    )
