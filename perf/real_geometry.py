"""What other class embeddings than the text are worth, on real pictures of many classes.

    python perf/real_geometry.py PICTURES [--method eszsl] [--first 200] [--splits 20]

PICTURES is the folder of `perf/stack.py`: 30 of its classes are drawn anew for every split, 6
unseen. Rows are class embeddings; what is learned for them is learned from the text of the seen
classes and from training clips, except for `ceo`, which sees the names of unseen classes, as in the
paper. The number is the HM at the gamma that is best on the test clips (ESZSL: also at the best of
four penalties of the class side, EZ-AVGZL: after half the training or all of it): an upper bound,
alike for all rows, in which no choice on few classes adds noise.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.classes import ClassEmbeddings
from ezav.classes.optimize import optimize_class_embeddings
from ezav.classes.settings import CeoSettings
from ezav.methods.base import Batch, Dims
from ezav.methods.best.closed_form import carried, seen_classifier
from ezav.methods.best.members import ClosedForms
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.metrics import seen_unseen_curve
from stack import Clips, Split, pictures, split_of, told

PENALTIES = (0.1, 0.3, 1.0, 3.0)
EPOCHS, BATCH, RATE = 12, 64, 1e-3


def unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=1)


def optimised(vectors: Tensor, alpha: float, margin: float = 0.1) -> Tensor:
    names = tuple(map(str, range(len(vectors))))
    settings = CeoSettings(alpha=alpha, margin=margin)
    return optimize_class_embeddings(ClassEmbeddings(names, vectors), settings).vectors


def by_linear_map(vectors: Tensor, seen: Tensor, wanted: Tensor, ridge: float = 1.0) -> Tensor:
    """All names by the linear map, next to the identity, that brings the seen ones to `wanted`."""
    own = vectors[seen].double()
    gram = own @ own.T + ridge * torch.eye(len(own), dtype=torch.float64)
    moved = torch.linalg.solve(gram, wanted.double() - own)
    return unit((vectors.double() + vectors.double() @ own.T @ moved).float())


def confused(inputs: Tensor, labels: Tensor, classes: int) -> Tensor:
    """`[S, S]`: how often a ridge classifier without a clip takes it for another class."""
    weight = seen_classifier(inputs, labels, classes)
    gram = inputs.double().T @ inputs.double()
    gram.diagonal().add_(1.0)
    leverage = (torch.linalg.solve(gram, inputs.double().T).T * inputs).sum(1, keepdim=True)
    own = F.one_hot(labels, classes)
    scores = (inputs @ weight - leverage * own) / (1 - leverage)
    other = scores.masked_fill(own.bool(), -torch.inf)
    wrong = other.amax(1) > scores[torch.arange(len(labels)), labels]
    count = torch.zeros(classes, classes)
    pair = labels[wrong], other.argmax(1)[wrong]
    count.index_put_(pair, torch.ones(int(wrong.sum())), accumulate=True)
    rate = count / torch.bincount(labels, minlength=classes)[:, None]
    return rate + rate.T


def embeddings(text: Tensor, seen: Tensor, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Row -> class vectors `[C, d]`."""
    raw = unit(text)
    centre = raw[seen].mean(dim=0)
    flat = unit(raw - centre)
    found = {"raw text": raw, "centred": flat}
    for alpha in (0.05, 0.5):
        found[f"ceo, alpha {alpha}"] = optimised(raw, alpha)
    for margin in (0.02, 0.3):
        found[f"ceo, alpha 0.05, margin {margin}"] = optimised(raw, 0.05, margin)
    for alpha in (0.05, 0.5):
        wanted = optimised(flat[seen], alpha)
        found[f"linear map to ceo, alpha {alpha}"] = by_linear_map(flat, seen, wanted)
    _, spread, directions = torch.linalg.svd((raw - centre)[seen], full_matrices=False)
    spread = spread / spread[0]
    parts = (raw - centre) @ directions.T
    for power in (-0.5, 0.5, 1.0):
        found[f"spectrum to the power {1 + power}"] = unit(parts[:, :-1] * spread[:-1] ** power)
    strong = max(3, int(seen.sum()) // 3)
    rest = parts[:, strong:-1]
    even = parts[:, :strong] * (spread[:strong].mean() / spread[:strong])
    found["strong directions made even"] = unit(torch.cat([even, rest], dim=1))
    inside = parts[:, :strong]
    apart = optimised(unit(inside), 0.2) * inside.norm(dim=1, keepdim=True)
    found["ceo, alpha 0.2, in strong ones"] = unit(torch.cat([apart, rest], dim=1))
    own = flat[seen]
    rate = confused(inputs, labels, len(own))
    push = (rate[:, :, None] * (own[:, None] - own[None])).sum(dim=1)
    for name, sign in (("apart", 1), ("together", -1)):
        wanted = unit(own + sign * push)
        found[f"confused pairs {name}"] = by_linear_map(flat, seen, wanted, 0.3)
    return found


def by_eszsl(
    inputs: Tensor, labels: Tensor, asked: Tensor, vectors: Tensor, seen: Tensor
) -> list[Tensor]:
    own = vectors[seen]
    weight = seen_classifier(inputs, labels, len(own))
    return [asked @ carried(weight, own @ own.T, r) @ (own @ vectors.T) for r in PENALTIES]


def by_network(clips: Clips, split: Split, labels: Tensor, vectors: Tensor) -> list[Tensor]:
    """EZ-AVGZL with cosine similarity, after half its training and after all of it."""
    torch.manual_seed(0)
    config = EzAvgzlConfig(
        similarity="cosine", modalities="visual", width=512, hidden=512, layers=0, dropout=0.5
    )
    own = vectors[split.seen]
    audio, visual = clips.audio, clips.visual
    method = EzAvgzl(config, Dims(audio=audio.dim, visual=visual.dim, text=vectors.shape[1]))
    method.prepare(audio[split.known], visual[split.known], labels, own)
    weights = [w for w in method.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=RATE, weight_decay=1e-5, fused=True)
    draw = torch.Generator().manual_seed(0)
    steps = EPOCHS * math.ceil(len(labels) / BATCH)
    even = (1 / torch.bincount(labels).float())[labels]
    found = []
    method.train()
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        rows = torch.multinomial(even, BATCH, replacement=True, generator=draw)
        clip = split.known[rows]
        batch = Batch(
            audio=audio[clip], visual=visual[clip], labels=labels[rows], class_embeddings=own
        )
        optimizer.zero_grad()
        torch.autograd.backward(method.loss(batch).total)
        optimizer.step()
        if step in (steps // 2, steps):
            method.eval()
            with torch.no_grad():
                found.append(method.scores(audio[split.test], visual[split.test], vectors))
            method.train()
    return found


def numbers_of(clips: Clips, split: Split, method: str) -> dict[str, float]:
    """Row -> the HM at the best gamma, in percent."""
    known, seen = split.seen.nonzero()[:, 0], split.seen
    column = torch.full((len(seen),), -1)
    column[known] = torch.arange(len(known))
    labels = column[clips.labels[split.known]]
    forms = ClosedForms(clips.audio.dim, clips.visual.dim, clips.text.shape[1])
    train = clips.audio[split.known], clips.visual[split.known]
    forms.fit(*train, labels, clips.text[known])
    inputs = forms.visual(train[1].mean(), train[1].present)
    test = clips.visual[split.test]
    asked = forms.visual(test.mean(), test.present)
    targets = clips.labels[split.test]
    found = {}
    for name, vectors in embeddings(clips.text, seen, inputs, labels).items():
        if method == "eszsl":
            scored = by_eszsl(inputs, labels, asked, vectors, seen)
        else:
            scored = by_network(clips, split, labels, vectors)
        found[name] = 100 * max(seen_unseen_curve(s, targets, seen).best_hm for s in scored)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--method", choices=("eszsl", "ez_avgzl"), default="eszsl")
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--splits", type=int, default=20)
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    for seed in range(given.first, given.first + given.splits):
        clips = pictures(given.pictures, seed)
        for row, hm in numbers_of(clips, split_of(clips, seed, 6), given.method).items():
            found.setdefault(row, []).append(hm)
    print(
        f"{given.method}, {given.splits} draws of 30 classes: HM at the best gamma, minus raw text"
    )
    for row, hms in found.items():
        less = [a - b for a, b in zip(hms, found["raw text"], strict=True)]
        print(f"{row:32}{told(hms):>14}{told(less, '+'):>14}")


if __name__ == "__main__":
    main()
