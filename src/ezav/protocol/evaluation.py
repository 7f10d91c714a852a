"""A trained model of a stage, and its scores on evaluation clips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.feature_set import FeatureSet
from ezav.methods.base import Method
from ezav.metrics import SeenUnseenCurve, seen_unseen_curve
from ezav.training.scoring import score_all


@dataclass(frozen=True)
class Evaluation:
    """Scores of evaluation clips, and what they were compared with.

    Attributes:
        scores: `[N, C]`, higher is better.
        targets: long `[N]`, rows of the C classes.
        seen: bool `[C]`.
        classes: C names.
        clips: N clip ids.
    """

    scores: Tensor
    targets: Tensor
    seen: Tensor
    classes: tuple[str, ...]
    clips: tuple[str, ...]

    def curve(self) -> SeenUnseenCurve:
        """The exact seen-unseen curve of these scores."""
        return seen_unseen_curve(self.scores, self.targets, self.seen)


@dataclass(frozen=True)
class StageModel:
    """A trained method with the class embeddings it was trained with (all of the stage)."""

    method: Method
    classes: ClassEmbeddings
    seen: Tensor

    def learn_on(self, validation: FeatureSet) -> None:
        """Let the method learn what only validation can tell."""
        self.method.learn_on_validation(
            lambda part: score_all(part, validation, self.classes.vectors),
            validation.labels.cpu(),
            self.seen,
        )

    def learned(self) -> dict[str, Tensor]:
        """What the method has learned on validation."""
        return {name: self.method.get_buffer(name).clone() for name in self.method.from_validation}

    def weights(self) -> dict[str, Tensor]:
        """All that the method is now, to be taken back; nothing where it is not trained."""
        if not self.method.trainable:
            return {}
        return {name: one.detach().clone() for name, one in self.method.state_dict().items()}

    def take(self, weights: dict[str, Tensor]) -> None:
        """Become again what :meth:`weights` gave."""
        if weights:
            self.method.load_state_dict(weights)

    def evaluate(self, clips: FeatureSet) -> Evaluation:
        """Score clips among the classes of the stage."""
        scores = score_all(self.method, clips, self.classes.vectors)
        return Evaluation(scores, clips.labels.cpu(), self.seen, self.classes.names, clips.clips)
