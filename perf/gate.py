"""What AV-OOD's gate is worth in the place of gamma, on real features.

    python perf/gate.py --pictures PICTURES [--first 600] [--splits 20]
    python perf/gate.py --store STORE --unseen 5 [--sources FILE COLUMN] [--kinds FILE]

Options are those of `perf/splits.py`. The scores are ESZSL's with raw text; its gamma and penalty,
and the gate's threshold where it is learned, come from four class folds of each split's known
clips. "routed" is the share of test clips that the gate sends to the right side, mean of both.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.common.gate import Detector, made_clips, train_detector
from ezav.methods.common.gated import best_threshold, gated
from ezav.metrics import gzsl_scores
from ezav.protocol.by_folds import FoldData
from ezav.protocol.class_choice import carried_to, closed_form_hm
from ezav.protocol.confusion import SeenClassifier
from splits import Split, options, splits_of, told
from world import World


def gate_of(fold: FoldData, classifier: SeenClassifier) -> tuple[Tensor, float, float]:
    """What a fold's gate is unsure of in its held-out clips; its threshold by mean, as released."""
    text, seen = F.normalize(fold.stage.text.vectors, dim=1), fold.stage.seen
    clips, labels = classifier.inputs, classifier.labels
    made, _ = made_clips(clips, labels, text[seen], text[~seen], seed=0)
    torch.manual_seed(0)
    detector = Detector(clips.shape[1], int(seen.sum()))
    released = train_detector(detector, clips, labels, made, seed=0)
    with torch.no_grad():
        unsure = detector.entropy(classifier.inputs_of(fold.held_out))
        return unsure, float(detector.entropy(clips).mean()), released / math.log(int(seen.sum()))


def numbers_of(world: World, split: Split) -> dict[str, tuple[float, float]]:
    """Row -> HM, and the share that is routed right, in percent."""
    stage, folds = world.own_folds(split, repeats=1)
    whole = [*folds, FoldData(stage, world.clips.subset(split.test))]
    made = [SeenClassifier(fold.stage) for fold in whole]
    said = [one.scores(fold.held_out) for one, fold in zip(made, whole, strict=True)]
    vectors = [fold.stage.text.vectors for fold in whole]
    _, gamma, penalty = closed_form_hm(folds, said[:-1], vectors[:-1])
    gates = [gate_of(fold, one) for fold, one in zip(whole, made, strict=True)]
    parts = [
        (carried_to(one, w, f.stage.seen, penalty), gate[0], f.held_out.labels, f.stage.seen)
        for one, w, f, gate in zip(said, vectors, whole, gates, strict=True)
    ]
    scores, unsure, targets, seen = parts[-1]
    found = {"gamma": (100 * float(gzsl_scores(scores, targets, seen, gamma).HM), 0.0)}
    limits = {"learned": best_threshold(parts[:-1]), "mean": gates[-1][1], "released": gates[-1][2]}
    own = seen[targets]
    for row, limit in limits.items():
        right = (unsure < limit) == own
        routed = (right[own].float().mean() + right[~own].float().mean()) / 2
        hm = gzsl_scores(gated(scores, seen, unsure < limit), targets, seen, 0.0).HM
        found[row] = 100 * float(hm), 100 * float(routed)
    return found


def main() -> None:
    given = options(__doc__, first=600).parse_args()
    rows: dict[str, list[tuple[float, float]]] = {}
    for _, clips, split in splits_of(given):
        world = World.of(clips, given.store)
        for row, numbers in numbers_of(world, split).items():
            rows.setdefault(row, []).append(numbers)
    print(f"{given.splits} class splits, percent, mean ± standard error")
    print(f"{'':10}{'HM':>14}{'HM - gamma':>16}{'routed':>14}")
    for row, found in rows.items():
        less = [a[0] - b[0] for a, b in zip(found, rows["gamma"], strict=True)]
        cells = told([one[0] for one in found]), told(less, "+"), told([one[1] for one in found])
        print(f"{row:10}{cells[0]:>14}{cells[1]:>16}{cells[2]:>14}", flush=True)


if __name__ == "__main__":
    main()
