"""Which classes the training clips confuse, and scores of names by a closed form (ESZSL)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.classes.forms import Confused
from ezav.features.feature_set import FeatureSet
from ezav.methods.best.closed_form import UnitInput, seen_classifier
from ezav.protocol.stages import Stage


class SeenClassifier:
    """A ridge classifier of a stage's training classes, one mean token a clip and modality.

    Args:
        stage: its training clips are fitted, on the CPU.
        modality: `both`, or the only one that is read.
    """

    def __init__(self, stage: Stage, modality: str = "both") -> None:
        train = stage.train
        self.names = tuple(n for n, own in zip(stage.classes, stage.seen.tolist()) if own)
        self.labels = train.labels.cpu()
        self._read = [name for name in ("audio", "visual") if modality in ("both", name)]
        self._units: dict[str, UnitInput] = {}
        for name in self._read:
            values, present = _means(train, name)
            self._units[name] = UnitInput(values.shape[1])
            self._units[name].fit(values, present)
        self.inputs = self.inputs_of(train)
        self.weight = seen_classifier(self.inputs, self.labels, len(self.names))

    def inputs_of(self, clips: FeatureSet) -> Tensor:
        """`[N, D]`: the modalities side by side, standardised, each at unit length."""
        return torch.cat([self._units[name](*_means(clips, name)) for name in self._read], dim=1)

    def scores(self, clips: FeatureSet) -> Tensor:
        """`[N, S]`: of the training classes."""
        return self.inputs_of(clips) @ self.weight

    def confused(self) -> Confused:
        """Pairs of training classes, each training clip judged by a classifier without it.

        Ridge regression's leverage gives that exactly.
        """
        x, own = self.inputs.double(), F.one_hot(self.labels, len(self.names)).double()
        if len(x) <= x.shape[1]:
            gram = x @ x.T
            gram.diagonal().add_(1.0)
            leverage = 1 - torch.linalg.inv(gram).diagonal()
        else:
            gram = x.T @ x
            gram.diagonal().add_(1.0)
            leverage = (torch.linalg.solve(gram, x.T).T * x).sum(dim=1)
        fitted = x @ self.weight.double()
        scores = (fitted - leverage[:, None] * own) / (1 - leverage[:, None])
        taken = scores.argmax(dim=1)
        count = torch.zeros(len(self.names), len(self.names), dtype=torch.float64)
        one = torch.ones(len(taken), dtype=torch.float64)
        count.index_put_((self.labels, taken), one, accumulate=True)
        rate = count / count.sum(dim=1, keepdim=True).clamp(min=1)
        both = (rate + rate.T).triu(diagonal=1)
        return tuple(
            (self.names[a], self.names[b], round(float(both[a, b]), 6))
            for a, b in both.nonzero().tolist()
        )


def _means(clips: FeatureSet, modality: str) -> tuple[Tensor, Tensor]:
    """`[N, dim]` mean tokens, and bool `[N]` which clips have any."""
    held = getattr(clips, modality)
    everything = torch.arange(len(clips), device=held.device)
    tokens = held.gather(everything, pooled=True)
    return tokens.mean().cpu(), tokens.present.cpu()
