"""AV-OOD's detector (Wen, BMVC 2024): by the entropy of a classifier, seen or not seen.

A small classifier of the training classes learns to be sure of their clips and unsure of made-up
clips of other classes. A clip of which it is unsure is of none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.optimizers import Adam

SLOPE = 0.2
HIDDEN = (512, 128)
EPOCHS, BATCH, RATE = 80, 64, 1e-3
BETAS = (0.5, 0.999)
FACTOR, PATIENCE = 0.8, 5
PER_CLASS = 50
"""Made-up clips of each class."""


class Detector(nn.Module):
    """A classifier of S training classes, `[N, dim] -> [N, S]`; what it is unsure of is not seen.

    Layers are named as in the authors' weight files. Loading takes over the number of classes.

    Example:
        >>> detector = Detector(6, 3, hidden=(5, 4))
        >>> bool((detector.entropy(torch.randn(2, 6)) <= 1).all())
        True
    """

    def __init__(self, dim: int, classes: int, hidden: tuple[int, int] = HIDDEN) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.classifier = nn.Linear(hidden[1], classes)
        self.restart()

    def restart(self, classes: int | None = None) -> None:
        """Begin anew, with another number of classes if one is given."""
        if classes is not None:
            width, own = self.classifier.in_features, self.classifier.weight
            self.classifier = nn.Linear(width, classes, device=own.device, dtype=own.dtype)
        for layer in (self.fc1, self.fc2, self.classifier):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.fc2(F.leaky_relu(self.fc1(x), SLOPE)), SLOPE)
        logits: Tensor = self.classifier(hidden)
        return logits

    def entropy(self, x: Tensor) -> Tensor:
        """`[N]`, of the classes' probabilities, as a share of the largest that it can be."""
        return entropy(self(x)) / math.log(max(2, self.classifier.out_features))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        weight = state.get(f"{prefix}classifier.weight")
        if isinstance(weight, Tensor) and weight.ndim == 2:
            self.restart(len(weight))
        super()._load_from_state_dict(state, prefix, *rest)


def entropy(logits: Tensor) -> Tensor:
    """`[N]` in nats.

    Example:
        >>> abs(entropy(torch.zeros(1, 4)).item() - math.log(4)) < 1e-6
        True
    """
    log = logits.log_softmax(dim=1)
    return -(log.exp() * log).sum(dim=1)


def detector_parts(
    detector: Detector, seen: Tensor, labels: Tensor, made: Tensor
) -> dict[str, Tensor]:
    """The three terms of the loss: sure of the seen, and right; unsure of the made up.

    Args:
        detector: of S classes.
        seen: `[B, dim]` real clips.
        labels: long `[B]` of them.
        made: `[B', dim]` made-up clips of other classes.
    """
    logits = detector(torch.cat([seen, made]))
    own, others = logits[: len(seen)], logits[len(seen) :]
    return {
        "entropy_seen": entropy(own).mean(),
        "cross_entropy": F.cross_entropy(own, labels),
        "entropy_made": -entropy(others).mean(),
    }


def train_detector(
    detector: Detector, seen: Tensor, labels: Tensor, made: Tensor, seed: int
) -> float:
    """Train on batches that are half real and half made up; the authors' threshold, in nats.

    As released it is a sum over the clips met in the last epoch, half of all, divided by all: about
    half of their mean entropy.

    Args:
        detector: trained in place.
        seen: `[N, dim]` clips of the training classes.
        labels: long `[N]`.
        made: `[M, dim]` made-up clips of other classes.
        seed: of the batches.
    """
    draw = torch.Generator().manual_seed(seed)
    adam = Adam(detector.parameters(), RATE, BETAS)
    slower = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, factor=FACTOR, patience=PATIENCE)
    half = max(1, min(BATCH // 2, len(seen), len(made)))
    met = 0.0
    for _ in range(EPOCHS):
        met, unsure = 0.0, 0.0
        for _ in range(math.ceil(len(seen) / (2 * half))):
            rows, others = _some(len(seen), half, draw), _some(len(made), half, draw)
            parts = detector_parts(detector, seen[rows], labels[rows], made[others])
            adam.zero_grad()
            torch.autograd.backward(torch.stack(list(parts.values())).sum())
            adam.step()
            met += half * parts["entropy_seen"].item()
            unsure += parts["entropy_made"].item()
        slower.step(unsure)
    return met / len(seen)


def _some(total: int, count: int, draw: torch.Generator) -> Tensor:
    return torch.randperm(total, generator=draw)[:count]


def made_clips(
    clips: Tensor, labels: Tensor, text: Tensor, unseen: Tensor, seed: int, ridge: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Made-up clips of classes that have none: their mean by their text, spread as real ones are.

    The means of the training classes are a ridge regression on their text; what that says of
    another class, plus how far some training clip is from the mean of its own, is a made-up clip.
    (The authors train a generator, which as released is given label numbers in the place of text.)

    Args:
        clips: `[N, dim]` of the training classes.
        labels: long `[N]`, rows of `text`.
        text: `[S, d]` of the training classes.
        unseen: `[U, d]` of the others.
        seed: of the draw.
        ridge: penalty of the regression.

    Returns:
        `[U * PER_CLASS, dim]` and their rows of `unseen`.

    Example:
        >>> clips, text = torch.eye(3), torch.eye(3)
        >>> made, rows = made_clips(clips, torch.arange(3), text, text[:1], seed=0)
        >>> made[0].tolist(), len(rows)  # one clip a class: no spread
        ([0.6666..., 0.1666..., 0.1666...], 50)
    """
    count = torch.bincount(labels, minlength=len(text)).clamp(min=1).to(clips)
    sums = clips.new_zeros(len(text), clips.shape[1]).index_add_(0, labels, clips)
    means = sums / count[:, None]
    centre, middle = means.mean(dim=0), text.mean(dim=0)
    own = (text - middle).double()
    gram = own @ own.T
    gram.diagonal().add_(ridge)
    moves = torch.linalg.solve(gram, (means - centre).double())
    expected = centre + ((unseen - middle).double() @ own.T @ moves).to(clips)
    rows = torch.arange(len(unseen)).repeat_interleave(PER_CLASS)
    drawn = torch.randint(len(clips), (len(rows),), generator=torch.Generator().manual_seed(seed))
    return expected[rows] + (clips - means[labels])[drawn], rows


def thresholds(entropies: Tensor, most: int = 200) -> Iterator[float]:
    """Where a threshold can be: below all, between neighbours, above all; evenly `most` of them.

    Example:
        >>> list(thresholds(torch.tensor([0.5, 0.25])))
        [-0.75, 0.375, 1.5]
    """
    order = entropies.double().sort().values
    edges = torch.cat([order[:1] - 1, (order[1:] + order[:-1]) / 2, order[-1:] + 1])
    rows = torch.linspace(0, len(edges) - 1, min(len(edges), most), dtype=torch.float64)
    yield from edges[rows.round().long()].tolist()
