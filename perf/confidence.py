"""What says best whether an answer is right, and whether a clip belongs to any class at all.

    python perf/confidence.py --store STORE --unseen 2 --foreign FOREIGN.npz --other STORE \\
        [--sources FILE COLUMN] [--kinds FILE] [--splits 20]

The store, its splits, `--sources` and `--kinds` are those of `perf/splits.py`; the answers are
those of the stack. Foreign clips are those of `perf/foreign_clips.py` and the clips of another
store. Everything that is fitted (temperature, logistic) is fitted on the class folds of each
split's known clips, every fold's held-out clips together: the classes of half of them were not
trained on there. A fold's clip whose own class is taken from the candidates stands for a foreign
one. Test clips and foreign clips are only measured.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ezav.features import FeatureStore
from ezav.features.tokens import Tokens
from ezav.methods.best.logit import fit_stack
from ezav.methods.best.method import GAMMA, START
from ezav.methods.common.label_words import LabelWords
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.calibration import MOST_ECE, Calibration
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.folds import class_folds
from ezav.protocol.labels import label_head
from ezav.protocol.open_set import fit_open, fit_temperature, fit_threshold, with_none
from splits import Clips, Split, of_store, split_of, told
from stack import NAMES, scored


@dataclass(frozen=True)
class Answers:
    """Stacked scores `[N, C]`, targets `[N]` (-1: foreign), distances to the training clips."""

    scores: Tensor
    targets: Tensor
    far: dict[str, Tensor]

    def without_own(self) -> Answers:
        """The same with each clip's class taken from the candidates."""
        own = F.one_hot(self.targets, self.scores.shape[1]).bool()
        lower = self.scores.masked_fill(own, -torch.inf)
        return Answers(lower, torch.full_like(self.targets, -1), self.far)

    def of(self, rows: Tensor) -> Answers:
        far = {name: values[rows] for name, values in self.far.items()}
        return Answers(self.scores[rows], self.targets[rows], far)

    @property
    def right(self) -> Tensor:
        return self.scores.argmax(dim=1) == self.targets


def joined(parts: list[Answers]) -> Answers:
    far = {name: torch.cat([one.far[name] for one in parts]) for name in parts[0].far}
    return Answers(
        torch.cat([one.scores for one in parts]), torch.cat([one.targets for one in parts]), far
    )


def inputs_of(clips: Clips, rows: Tensor) -> list[Tensor]:
    """Unit vectors of each modality, zeros where it is missing."""
    parts = []
    for one in (clips.visual, clips.audio):
        values = one.mean()[rows] * one.present[rows, None]
        parts.append(F.normalize(values, dim=1).double())
    return parts


def distances(clips: Clips, train: Tensor, rows: Tensor) -> dict[str, Tensor]:
    """How far clips are from the training clips, several ways; per modality, and the mean."""
    found: dict[str, list[Tensor]] = {}
    labels = clips.labels[train]
    for known, asked in zip(inputs_of(clips, train), inputs_of(clips, rows), strict=True):
        cosine = asked @ known.T
        nearest = cosine.topk(min(5, len(known)), dim=1).values
        found.setdefault("nearest", []).append(1 - nearest[:, 0])
        found.setdefault("5th nearest", []).append(1 - nearest[:, -1])
        mean = known.mean(dim=0)
        _, scale, axes = torch.linalg.svd(known - mean, full_matrices=False)
        kept = int((scale.square().cumsum(0) / scale.square().sum() < 0.9).sum()) + 1
        axes, spread = axes[:kept], scale[:kept].square() / len(known)
        inside = (asked - mean) @ axes.T
        rest = ((asked - mean).square().sum(1) - inside.square().sum(1)).clamp(min=0)
        found.setdefault("residual", []).append(rest.sqrt())
        left = scale.square()[kept:].sum().clamp(min=1e-9) / len(known)
        found.setdefault("mahalanobis", []).append(
            ((inside.square() / spread).mean(dim=1) + rest / left).sqrt()
        )
        centres = torch.stack([known[labels == label].mean(0) for label in labels.unique()])
        found.setdefault("class mean", []).append(torch.cdist(asked, centres).amin(dim=1))
    return {name: torch.stack(both).mean(dim=0) for name, both in found.items()}


def answers_of(clips: Clips, split: Split, foreign: Tensor) -> tuple[Answers, list[Answers], int]:
    """The test and foreign clips' answers, and those of every fold."""
    known = split.seen.nonzero()[:, 0]
    place = torch.full((len(split.seen),), -1)
    place[known] = torch.arange(len(known))
    sources = [clips.sources[row] for row in split.known.tolist()]
    count = max(2, min(6, len(known) // 2))
    folds, far = [], []
    for seed in range(2):
        labels = place[clips.labels[split.known]]
        for fold in class_folds(labels, len(known), count, groups=sources, seed=seed):
            seen = split.seen.clone()
            seen[known[fold.unseen]] = False
            train, held = split.known[fold.train], split.known[fold.held_out]
            folds.append(scored(clips, train, held, seen, known))
            far.append(distances(clips, train, held))
    start = torch.tensor([START.get(name, 0.0) for name in NAMES], dtype=torch.float64)
    stack = fit_stack(folds, start, GAMMA, 0.7 / int(split.seen.sum()))
    parts = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in folds]
    gamma = smoothed_gamma(parts).gamma
    of_folds = [Answers(s - gamma * seen, t, d) for (s, t, seen), d in zip(parts, far, strict=True)]
    rows = torch.cat([split.test, foreign])
    test = scored(clips, split.known, rows, split.seen, torch.arange(len(split.seen)))
    scores = stack.scores(test.members.double(), test.seen) - gamma * test.seen.double()
    targets = test.targets.clone()
    targets[len(split.test) :] = -1
    return (
        Answers(scores, targets, distances(clips, split.known, rows)),
        of_folds,
        len(split.test),
    )


@dataclass(frozen=True)
class Way:
    """What is high where an answer should be trusted `[N]`, and when none of the names fits."""

    say: Callable[[Answers], Tensor]
    probable: bool = False
    none: Callable[[Answers], Tensor] | None = None


def top(scores: Tensor, temperature: float) -> Tensor:
    return (scores / temperature).softmax(dim=1).amax(dim=1)


def logit(p: Tensor) -> Tensor:
    p = p.clamp(1e-6, 1 - 1e-6)
    return p.log() - (1 - p).log()


def ways(folds: list[Answers]) -> dict[str, Way]:
    whole = joined(folds)
    without = joined([one.without_own() for one in folds])
    once = fit_temperature(folds[0].scores, folds[0].targets)
    warm = fit_temperature(whole.scores, whole.targets)

    def below(cut: float) -> Callable[[Answers], Tensor]:
        return lambda a: a.scores.amax(dim=1) < cut

    first, cut = (fit_threshold(one.scores, one.targets)[0] for one in (folds[0], whole))
    found = {
        "softmax, T and cut of one fold (before)": Way(
            lambda a: top(a.scores, once), True, below(first)
        ),
        "softmax, T and cut of all folds": Way(lambda a: top(a.scores, warm), True, below(cut)),
        "softmax, T / 2": Way(lambda a: top(a.scores, warm / 2), True),
        "softmax, 2 T": Way(lambda a: top(a.scores, 2 * warm), True),
        "best score": Way(lambda a: a.scores.amax(dim=1)),
        "energy": Way(lambda a: warm * (a.scores / warm).logsumexp(dim=1)),
        "margin": Way(lambda a: a.scores.topk(2, dim=1).values.diff(dim=1)[:, 0].neg()),
    }
    for name in whole.far:
        found[f"distance: {name}"] = Way(lambda a, n=name: -a.far[n])
    for share in (1.0, 0.5, 0.25):
        temperature, none = fit_open(whole.scores, whole.targets, share)
        found[f"none among the names, 1 : {share:g}"] = Way(
            lambda a, t=temperature, n=none: with_none(a.scores, t, n).exp()[:, :-1].amax(dim=1),
            True,
            below(cut),
        )
    sets: dict[str, Callable[[Answers], list[Tensor]]] = {
        "softmax": lambda a: [logit(top(a.scores, warm))],
        "softmax, best": lambda a: [logit(top(a.scores, warm)), a.scores.amax(1)],
        "softmax, nearest": lambda a: [logit(top(a.scores, warm)), a.far["nearest"]],
        "softmax, best, residual": lambda a: [
            logit(top(a.scores, warm)),
            a.scores.amax(1),
            a.far["residual"],
        ],
    }
    for name, inputs in sets.items():
        found[f"logistic: {name}"] = Way(fitted(inputs, [whole]), True)
        found[f"logistic with away: {name}"] = Way(fitted(inputs, [whole, without]), True)
    return found


def fitted(
    inputs: Callable[[Answers], list[Tensor]], parts: list[Answers]
) -> Callable[[Answers], Tensor]:
    """The probability of being right, by a logistic of `inputs`."""
    learned = joined(parts)
    x, y = torch.stack(inputs(learned), dim=1).numpy(), learned.right.numpy()
    middle, scale = x.mean(0), x.std(0) + 1e-12
    model = LogisticRegression(C=1.0).fit((x - middle) / scale, y)
    return lambda a: torch.from_numpy(
        model.predict_proba((torch.stack(inputs(a), 1).numpy() - middle) / scale)[:, 1]
    )


def ece(p: Tensor, right: Tensor, weight: Tensor | None = None, bins: int = 15) -> float:
    weight = torch.ones(len(p)) if weight is None else weight
    index = ((p * bins).ceil().long() - 1).clamp(0, bins - 1)
    gap = weight.double() * (right.double() - p.double())
    return float(torch.zeros(bins).double().index_add(0, index, gap).abs().sum() / weight.sum())


def pooled(several: list[tuple[Tensor, Tensor, Tensor]]) -> list[str]:
    """Of all splits together, for a split has too few clips a bin; jackknifed standard errors."""

    def of(some: list[tuple[Tensor, Tensor, Tensor]]) -> list[float]:
        say, right, known = (torch.cat(column) for column in zip(*some, strict=True))
        weight = torch.where(known, 1.0, float(known.sum()) / (2 * int((~known).sum())))
        gap = float(say[known].mean() - right[known].double().mean())
        return [ece(say[known], right[known]), gap, ece(say, right, weight)]

    count = len(several)
    without = [of(several[:one] + several[one + 1 :]) for one in range(count)]
    cells = []
    for value, left in zip(of(several), zip(*without, strict=True), strict=True):
        error = ((count - 1) * statistics.pvariance(left)) ** 0.5
        cells.append(f"{100 * value:.1f} ± {100 * error:.1f}")
    return cells


def shipped(folds: list[Answers]) -> dict[str, float]:
    """What a run of these folds says of itself, in percent."""
    names = tuple(map(str, range(folds[0].scores.shape[1])))
    nothing = torch.zeros(len(names), dtype=torch.bool)
    clips = [tuple(map(str, range(len(one.targets)))) for one in folds]
    parts = [
        Evaluation(one.scores, one.targets, nothing, names, some)
        for one, some in zip(folds, clips, strict=True)
    ]
    said = Calibration.fit(parts, 0.0)
    return {
        "ECE said": 100 * said.ece_,
        "AUROC right said": 100 * said.auroc_,
        "AUROC away said": 100 * said.away_auroc_,
        "withheld": 100.0 * (said.ece_ > MOST_ECE),
    }


def numbers(way: Way, answers: Answers, kinds: np.ndarray) -> dict[str, float]:
    """One row of the table, in percent; `kinds` is empty for clips that belong to the data."""
    say, right = way.say(answers), answers.right
    known = torch.from_numpy(kinds == "")
    mine, ok = say[known], right[known]
    order = ok[mine.argsort(descending=True)].double()
    found = {
        "right or wrong": roc_auc_score(ok.numpy(), mine.numpy())
        if 0 < ok.sum() < len(ok)
        else float("nan"),
        "known or foreign": roc_auc_score(known.numpy(), say.numpy()),
        "area under risk": float((1 - order.cumsum(0) / torch.arange(1, len(order) + 1)).mean()),
    }
    if way.probable:
        found["foreign at 80 %"] = float((say[~known] >= 0.8).double().mean())
    if way.none is not None:
        none = way.none(answers)
        found["errors caught"] = (
            float(none[known][~ok].double().mean()) if (~ok).any() else float("nan")
        )
        found["right lost"] = float(none[known][ok].double().mean())
        found["foreign caught"] = float(none[~known].double().mean())
    for kind in sorted(set(kinds) - {""}):
        rows = torch.from_numpy(kinds == kind)
        if way.probable:
            found[f"{kind}: mean"] = float(say[rows].mean())
        elif way.none is None:
            found[f"{kind}: AUROC"] = roc_auc_score(
                known[known | rows].numpy(), say[known | rows].numpy()
            )
        if way.none is not None:
            found[f"{kind}: caught"] = float(way.none(answers)[rows].double().mean())
    return {name: 100 * value for name, value in found.items()}


def with_foreign(clips: Clips, store: Path, foreign: Path, other: Path) -> tuple[Clips, np.ndarray]:
    """The clips with foreign ones behind them, and the kind of each: empty, or why it is one."""
    made, more = np.load(foreign), FeatureStore.open(other)
    theirs = more.select(*more.splits)
    rows = torch.arange(len(theirs))
    audio = _stacked(clips.audio, made, "audio", theirs.audio.gather(rows, pooled=True))
    visual = _stacked(clips.visual, made, "visual", theirs.visual.gather(rows, pooled=True))
    opened = FeatureStore.open(store)
    words = LabelWords(audio.dim, visual.dim, clips.text.shape[1])
    head = label_head(opened.header, opened.class_embeddings().encoder)
    assert head is not None
    words.know(head)
    kinds = np.concatenate([[""] * len(clips.labels), made["kind"], ["other"] * len(theirs)])
    count = len(kinds) - len(clips.labels)
    return replace(
        clips,
        audio=audio,
        visual=visual,
        words=words(audio, visual),
        labels=torch.cat([clips.labels, torch.zeros(count, dtype=torch.long)]),
        sources=clips.sources + ("",) * count,
    ), kinds


def _stacked(own: Tokens, made: dict[str, np.ndarray], name: str, theirs: Tokens) -> Tokens:
    values = [own.mean(), torch.from_numpy(made[name]), theirs.mean()]
    there = [own.present, torch.from_numpy(made[f"has_{name}"]), theirs.present]
    return Tokens.pooled(torch.cat(values), torch.cat(there))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--foreign", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--unseen", type=int, default=2)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    own = of_store(given.store, given.sources, given.kinds)
    clips, kinds = with_foreign(own, given.store, given.foreign, given.other)
    foreign = torch.from_numpy(np.flatnonzero(kinds != ""))
    results: dict[str, list[dict[str, float]]] = {}
    said: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    of_itself: list[dict[str, float]] = []
    for seed in range(given.first, given.first + given.splits):
        split = split_of(own, seed, given.unseen)
        test, folds, count = answers_of(clips, split, foreign)
        of_row = np.concatenate([[""] * count, kinds[kinds != ""]])
        for name, way in ways(folds).items():
            results.setdefault(name, []).append(numbers(way, test, of_row))
            if way.probable:
                known = torch.from_numpy(of_row == "")
                said.setdefault(name, []).append((way.say(test), test.right, known))
        of_itself.append(shipped(folds))
    show(results)
    print("\n| of all splits together, percent | ECE | mean - right | ECE, a third foreign |")
    print("|---|--:|--:|--:|")
    for name, several in said.items():
        print(f"| {name} | " + " | ".join(pooled(several)) + " |")
    print("\nwhat the runs say of themselves:", end="")
    for name in of_itself[0]:
        print(f" {name} {_cell([one[name] for one in of_itself])}", end=";")
    print()


def show(results: dict[str, list[dict[str, float]]]) -> None:
    columns = list(dict.fromkeys(name for rows in results.values() for name in rows[0]))
    print(f"{len(next(iter(results.values())))} class splits, percent, mean ± standard error\n")
    print("| " + " | ".join(["", *columns]) + " |\n|---|" + "--:|" * len(columns))
    for way, rows in results.items():
        cells = [_cell([one[c] for one in rows if c in one]) for c in columns]
        print("| " + " | ".join([way, *cells]) + " |")


def _cell(values: list[float]) -> str:
    measured = [one for one in values if one == one]
    return told(measured) if measured else ""


if __name__ == "__main__":
    main()
