"""Any method behind a gate that decides for each clip: only training classes, or only others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, HeldOut, Loss, Method, Worth, learned_inside
from ezav.methods.best.closed_form import SAME, UnitInput
from ezav.methods.common.few_shot import FewShot
from ezav.methods.common.gate import Detector, made_clips, thresholds, train_detector
from ezav.methods.common.label_words import LabelHead
from ezav.metrics import gzsl_scores

Gate = Literal["none", "learned", "mean", "released"]
"""Where a gate's threshold comes from: validation, the mean entropy of the training clips, or half
of it as released (the sum over half of the clips, divided by all)."""


class Gated(Method):
    """A method whose scores are gated: the classes that a clip is not of fall below all others.

    Args:
        inner: trained as without a gate.
        gate: where the threshold comes from.
        seed: of the gate's weights and batches.
    """

    threshold_: Tensor
    classes_: Tensor

    def __init__(self, inner: Method, gate: Gate, seed: int = 0) -> None:
        super().__init__(inner.config, inner.dims)
        self.inner, self.gate, self.seed = inner, gate, seed
        self.trainable = inner.trainable  # type: ignore[misc]
        self.needs_negatives = inner.needs_negatives  # type: ignore[misc]
        self.temporal = inner.temporal  # type: ignore[misc]
        self.scoring_cost = inner.scoring_cost
        dims = inner.dims
        self.audio, self.visual = UnitInput(dims.audio), UnitInput(dims.visual)
        self.detector = Detector(dims.audio + dims.visual, 1)
        self.detector.requires_grad_(False)
        self.register_buffer("threshold_", torch.zeros(()))
        self.register_buffer("classes_", torch.zeros(0, dims.text))
        self._others = torch.zeros(0, dims.text)

    def know_others(self, classes: Tensor) -> None:
        """Class vectors `[U, d]` that clips shall be made up of, before `prepare`."""
        self._others = classes

    def know_labels(self, head: LabelHead) -> None:
        self.inner.know_labels(head)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Prepare the method, and train the gate."""
        self.inner.prepare(audio, visual, labels, classes)
        self.audio.fit(audio.mean(), audio.present)
        self.visual.fit(visual.mean(), visual.present)
        self.classes_ = F.normalize(classes, dim=1)
        clips, own = self._inputs(audio, visual).cpu(), labels.cpu()
        made, _ = made_clips(clips, own, self.classes_.cpu(), self._others.cpu(), self.seed)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)
            detector = Detector(clips.shape[1], len(classes))
            released = train_detector(detector, clips, own, made, self.seed)
        detector.requires_grad_(False)
        self.detector = detector.to(classes.device)
        most = math.log(max(2, len(classes)))
        mean = float(detector.entropy(clips).mean())
        self.threshold_.fill_(released / most if self.gate == "released" else mean)

    def _inputs(self, audio: Tokens, visual: Tokens) -> Tensor:
        unit = self.audio(audio.mean(), audio.present), self.visual(visual.mean(), visual.present)
        return torch.cat(unit, dim=1)

    def unsure(self, audio: Tokens, visual: Tokens) -> Tensor:
        """`[N]`: the detector's entropy, as a share of the largest that it can be."""
        return self.detector.entropy(self._inputs(audio, visual))

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        found = self.inner.scores(audio, visual, class_embeddings)
        seen = (F.normalize(class_embeddings, dim=1) @ self.classes_.T).amax(dim=1) > SAME
        return gated(found, seen, self.unsure(audio, visual) < self.threshold_)

    def loss(self, batch: Batch) -> Loss:
        return self.inner.loss(batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.inner.parameter_groups()

    @property
    def title(self) -> str:
        return self.inner.title

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.inner.modalities

    @property
    def uses_time(self) -> bool:
        return self.inner.uses_time

    @property
    def from_validation(self) -> tuple[str, ...]:  # type: ignore[override]
        own = ("threshold_",) if self.gate == "learned" else ()
        return (*own, *(f"inner.{name}" for name in self.inner.from_validation))

    @property
    def few_shot(self) -> FewShot:
        return self.inner.few_shot

    def appearance(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, ...]:
        return self.inner.appearance(audio, visual)

    def worth(self) -> dict[str, Worth]:
        return self.inner.worth()

    def learn_on_validation(
        self, score: Callable[[Method], Tensor], targets: Tensor, seen: Tensor
    ) -> None:
        self.inner.learn_on_validation(score, targets, seen)
        if self.gate == "learned":
            self._learn([(score(self.inner), score(_Unsure(self))[:, 0], targets, seen)])

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        inner = learned_inside(folds, _inner)
        if self.gate != "learned":
            return
        parts = []
        for fold, part in zip(folds, inner, strict=True):
            assert isinstance(fold.method, Gated)
            said = part.score(part.method), part.score(_Unsure(fold.method))[:, 0]
            parts.append((*said, fold.clips.labels.cpu(), fold.seen.cpu()))
        self._learn(parts)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        given = state.get(f"{prefix}classes_")
        if isinstance(given, Tensor) and given.ndim == 2:
            self.classes_ = torch.zeros_like(given)
        super()._load_from_state_dict(state, prefix, *rest)

    def _learn(self, parts: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        self.threshold_.fill_(best_threshold(parts))


def _inner(method: Method) -> Method:
    assert isinstance(method, Gated)
    return method.inner


class _Unsure(Method):
    """What a gate is unsure of, as the score of every class."""

    def __init__(self, gate: Gated) -> None:
        super().__init__(gate.config, gate.dims)
        self.gate = gate

    @property
    def uses_time(self) -> bool:
        return self.gate.uses_time

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        return self.gate.unsure(audio, visual)[:, None].expand(-1, len(class_embeddings))


def gated(scores: Tensor, seen: Tensor, is_seen: Tensor) -> Tensor:
    """Scores `[N, C]` with the classes on the other side of the gate below all others.

    Args:
        scores: of any method.
        seen: bool `[C]`.
        is_seen: bool `[N]`, what the gate says of each clip.

    Example:
        >>> scores, seen = torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([True, False])
        >>> gated(scores, seen, torch.tensor([True, False])).argmax(dim=1).tolist()
        [0, 1]
    """
    reach = scores.amax(dim=1, keepdim=True) - scores.amin(dim=1, keepdim=True) + 1
    return scores - 2 * reach * (seen[None] != is_seen[:, None])


def best_threshold(parts: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]) -> float:
    """The threshold on what a gate is unsure of with the best mean HM.

    Args:
        parts: (scores `[N, C]`, unsure `[N]`, targets long `[N]`, seen bool `[C]`) each.

    Example:
        >>> scores, unsure = torch.eye(2), torch.tensor([0.2, 0.4])
        >>> seen = torch.tensor([True, False])
        >>> round(best_threshold([(scores, unsure, torch.tensor([0, 1]), seen)]), 2)
        0.3
    """
    best, at = -1.0, 0.0
    for threshold in thresholds(torch.cat([unsure for _, unsure, _, _ in parts])):
        hms = [
            float(gzsl_scores(gated(found, seen, unsure < threshold), targets, seen, 0.0).HM)
            for found, unsure, targets, seen in parts
        ]
        if sum(hms) / len(hms) > best:
            best, at = sum(hms) / len(hms), threshold
    return at
