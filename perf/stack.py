"""What the default of `ezav run` is worth on real features, over many choices of unseen classes.

    python perf/stack.py --pictures FOLDER [--splits 20]
    python perf/stack.py --store STORE --unseen 5 [--sources FILE COLUMN] [--kinds FILE]

Pictures and stores are those of `perf/splits.py`. `--sources` names a CSV file (path, COLUMN):
clips of one source are never on both sides of a split. `--kinds` names a CSV file (class, group):
of every group equally many are unseen.

With `--each` every draw is told: the HM of `best`, at its gamma and at best, and what it calls the
clips of each unseen class.

Every row learns its gamma, and the stack its weights, on class folds of each split's known clips:
nothing is chosen on test clips. "HM best" is the HM at the gamma that is best on the test clips.
All rows see the same splits; differences are paired. Splits share clips, so that the true error is
somewhat larger.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.best.logit import FoldScores, Stack, fit_stack
from ezav.methods.best.members import FORMS, ClosedForms
from ezav.methods.best.method import GAMMA, START
from ezav.methods.common.centring import aligned_scores, centred
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.folds import ClassFold, class_folds
from splits import Clips, Split, options, splits_of, told

NAMES = (*FORMS, "words", "labels")
FIXED: dict[str, dict[str, float]] = {
    "words": {"words": 1},
    "labels": {"labels": 1},
    "linear (ESZSL)": {"linear": 1},
    "kernel": {"kernel": 1},
    "identity": {"identity": 1},
    "linear + .5 words": {"linear": 1, "words": 0.5},
    "kernel + .4 words": {"kernel": 1, "words": 0.4},
}
"""Row -> fixed weights of the members."""
REFERENCE = "linear + .5 words"
FEWER = "best without labels"
COLUMNS = ("HM", "ZSL", "HM best", "seconds")


def scored(clips: Clips, train: Tensor, held: Tensor, seen: Tensor, names: Tensor) -> FoldScores:
    """Members trained on some clips of the seen classes, scores of other clips for `names`."""
    trained = seen.nonzero()[:, 0]
    column, place = torch.full((2, len(seen)), -1)
    column[trained], place[names] = torch.arange(len(trained)), torch.arange(len(names))
    forms = ClosedForms(clips.audio.dim, clips.visual.dim, clips.text.shape[1])
    forms.fit(
        clips.audio[train], clips.visual[train], column[clips.labels[train]], clips.text[trained]
    )
    known = F.normalize(clips.words[train], dim=1)
    has = known.abs().amax(dim=1) > 0
    mean, usual = known[has].mean(dim=0), clips.shares[train][has].mean(dim=0)

    def members(rows: Tensor, classes: Tensor) -> Tensor:
        text = clips.text[classes]
        said = aligned_scores(clips.words[rows], mean, centred(text, forms.text_mean_))
        told = clips.reader.evidence(clips.shares[rows], usual, text)
        closed = forms(clips.audio[rows], clips.visual[rows], text)
        return torch.cat([closed, said[..., None], told[..., None]], dim=2)

    scale = members(train, trained).flatten(0, 1).std(dim=0, correction=0)
    return FoldScores(members(held, names) / scale, place[clips.labels[held]], seen[names])


def folds_of_classes(
    clips: Clips, split: Split, repeats: int = 2
) -> Iterator[tuple[ClassFold, Tensor]]:
    """Class folds of a split's known clips, as rows of them; bool `[C]`: what each trains on."""
    known = split.seen.nonzero()[:, 0]
    place = torch.full((len(split.seen),), -1)
    place[known] = torch.arange(len(known))
    labels = place[clips.labels[split.known]]
    sources = [clips.sources[row] for row in split.known.tolist()]
    count = max(2, min(6, len(known) // 2))
    for seed in range(repeats):
        for fold in class_folds(labels, len(known), count, groups=sources, seed=seed):
            seen = split.seen.clone()
            seen[known[fold.unseen]] = False
            yield fold, seen


def folds_of(clips: Clips, split: Split) -> list[FoldScores]:
    known = split.seen.nonzero()[:, 0]
    return [
        scored(clips, split.known[fold.train], split.known[fold.held_out], seen, known)
        for fold, seen in folds_of_classes(clips, split)
    ]


def without_labels(folds: list[FoldScores], start: Tensor, pull: float) -> Stack:
    """The stack of the other members, the weight of `labels` given to `words`."""
    fewer = [FoldScores(fold.members[:, :, :-1], fold.targets, fold.seen) for fold in folds]
    begin = torch.cat([start[:-2], start[-2:].sum(dim=0, keepdim=True)])
    found = fit_stack(fewer, begin, GAMMA, pull)
    none = torch.zeros(1, dtype=torch.float64)
    return Stack(torch.cat([found.weights, none]), torch.cat([found.seen_weights, none]))


def stacked(clips: Clips, split: Split) -> tuple[list[FoldScores], FoldScores, Tensor, Stack]:
    """Members' scores in the folds and on the test clips, the starting weights, those learned."""
    folds = folds_of(clips, split)
    test = scored(clips, split.known, split.test, split.seen, torch.arange(len(clips.text)))
    start = torch.tensor([START.get(name, 0.0) for name in NAMES], dtype=torch.float64)
    return folds, test, start, fit_stack(folds, start, GAMMA, 0.7 / int(split.seen.sum()))


def gamma_of(folds: list[FoldScores], stack: Stack) -> float:
    parts = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in folds]
    return smoothed_gamma(parts).gamma


def called(clips: Clips, split: Split) -> str:
    """What `best` calls the test clips of each unseen class."""
    folds, test, _, learned = stacked(clips, split)
    scores = learned.scores(test.members.double(), test.seen)
    best = (scores - gamma_of(folds, learned) * test.seen).argmax(dim=1)
    told = []
    for row in (~split.seen).nonzero()[:, 0].tolist():
        names = Counter(clips.names[one] for one in best[test.targets == row].tolist())
        told.append(f"{clips.names[row]}: {dict(names.most_common())}")
    return "; ".join(told)


def rows_of(clips: Clips, split: Split) -> dict[str, tuple[float, ...]]:
    """Row -> its numbers on one split, in percent."""
    begun = time.process_time()
    folds, test, start, learned = stacked(clips, split)
    took = time.process_time() - begun
    nothing = torch.zeros(len(NAMES), dtype=torch.float64)
    stacks = {"best": learned, FEWER: without_labels(folds, start, 0.7 / int(split.seen.sum()))}
    for row, weights in FIXED.items():
        weight = torch.tensor([weights.get(name, 0) for name in NAMES], dtype=torch.float64)
        stacks[row] = Stack(weight, nothing)
    found = {}
    for row, stack in stacks.items():
        gamma = gamma_of(folds, stack)
        scores = stack.scores(test.members.double(), test.seen)
        at = gzsl_scores(scores, test.targets, test.seen, gamma)
        best = seen_unseen_curve(scores, test.targets, test.seen).best_hm
        found[row] = (100 * at.HM, 100 * at.ZSL, 100 * best, took if row == "best" else 0.0)
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--each", action="store_true", help="tell every draw")
    given = parser.parse_args()
    results: dict[str, list[tuple[float, ...]]] = {}
    for seed, clips, split in splits_of(given):
        for row, numbers in rows_of(clips, split).items():
            results.setdefault(row, []).append(numbers)
        if given.each:
            hm, _, highest, _ = results["best"][-1]
            print(f"{seed}: {hm:.1f}, at best {highest:.1f}; {called(clips, split)}")
        order = torch.randperm(len(clips.text), generator=torch.Generator().manual_seed(seed))
        shuffled = rows_of(replace(clips, text=clips.text[order]), split)
        results.setdefault("best, names shuffled", []).append(shuffled["best"])
        show(results)


def show(results: dict[str, list[tuple[float, ...]]]) -> None:
    reference = results[REFERENCE]
    print(f"\n{len(reference)} class splits, percent, mean ± standard error\n")
    columns = "".join(f"{name:>14}" for name in COLUMNS)
    print(f"{'':22}{columns}{'HM − reference':>18}{'ours − row':>16}")
    for row, numbers in results.items():
        cells = "".join(f"{told([one[i] for one in numbers]):>14}" for i in range(len(COLUMNS)))
        against = told([a[0] - b[0] for a, b in zip(numbers, reference, strict=True)], "+")
        ours = told([a[0] - b[0] for a, b in zip(results["best"], numbers, strict=True)], "+")
        print(f"{row:22}{cells}{against:>18}{ours:>16}", flush=True)


if __name__ == "__main__":
    main()
