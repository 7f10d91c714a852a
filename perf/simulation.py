"""Does the text matter in a simulated benchmark? Ridge regression from features to class vectors.

Fitted on all clips but the test's, with the class vectors as they are and dealt out at random;
S, U, HM at the best gamma of the test (an upper bound, only to look at the simulation) and ZSL.

    python perf/simulation.py SUITE SCALE SPLITS TEXT [TEXT]
    python perf/simulation.py ucf-cls 0.5 UCF/class-split word_embeddings_ucf_normed.npy
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F

from ezav.benchmarks.simulate import plan_simulation
from ezav.features.importers.blocks import join
from ezav.metrics import gzsl_scores, seen_unseen_curve


def main(suite: str, scale: float, splits: str, text: list[str]) -> None:
    plan = plan_simulation(suite, text=text, class_split=splits, scale=scale)
    names = plan.classes.used
    rows: dict[bool, list[tuple[torch.Tensor, torch.Tensor]]] = {False: [], True: []}
    for block in plan.blocks():
        values = torch.cat([join([m]).means for m in (block.audio, block.visual)], dim=1)
        labels = torch.full((len(values),), names.index(block.name))
        rows[block.split.startswith("test")].append((values, labels))
    (x, y), (test, targets) = (
        tuple(torch.cat(column) for column in zip(*rows[side])) for side in (False, True)
    )
    mean, sd = x.mean(0), x.std(0) + 1e-6
    x, test = (x - mean) / sd, (test - mean) / sd
    gram = x.T @ x + len(x) * torch.eye(x.shape[1])
    vectors = F.normalize(plan.text[0].vectors - plan.text[0].vectors.mean(0), dim=1)
    seen = torch.tensor([name in plan.classes.splits["test_seen"] for name in names])
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))
    print(f"{suite}: {len(x):,} and {len(test):,} clips; chance ZSL {100 / int((~seen).sum()):.1f}")
    for what, classes in (("text", vectors), ("shuffled", vectors[order])):
        mapped = F.normalize(test @ torch.linalg.solve(gram, x.T @ classes[y]), dim=1)
        scores = mapped @ classes.T
        found = gzsl_scores(scores, targets, seen, seen_unseen_curve(scores, targets, seen).gamma)
        values = ", ".join(f"{m} {100 * getattr(found, m):.1f}" for m in ("S", "U", "HM", "ZSL"))
        print(f"  {what}: {values}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit("usage: python perf/simulation.py SUITE SCALE SPLITS TEXT [TEXT]")
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:])
