"""How many wrong labels `ezav check` finds: labels of some clips are swapped, and looked for.

    python perf/check.py --store STORE [--sources FILE COLUMN] [--draws 20] [--share 0.1]

In each draw the labels of that share of the clips are given around among them, so that each is
wrong. A row says, mean and standard error over draws: the precision at which 80 % of them are found
(by rank), and recall, precision and number of those that the check tells. Labels that were wrong
before count as mistakes of the check.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ezav.checking.inputs import Inputs
from ezav.checking.labels import contradicted, margins, witnesses
from ezav.features import FeatureStore
from ezav.features.sources import read_sources
from splits import told

COLUMNS = ("precision at 80 %", "recall told", "precision told", "told", "seconds")


def swapped(labels: Tensor, share: float, seed: int) -> Tensor:
    """Labels of which a share has gone around among the clips, none to one of its own class."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(labels), generator=draw)[: round(share * len(labels))]
    for _ in range(100_000):
        to = rows[torch.randperm(len(rows), generator=draw)]
        if bool((labels[to] != labels[rows]).all()):
            found = labels.clone()
            found[rows] = labels[to]
            return found
    raise SystemExit("the labels cannot be swapped: one class has most of the clips")


def found_in(inputs: Inputs, truth: Tensor) -> tuple[float, ...]:
    """The numbers of a draw, but for the time; precisions and recall in percent."""
    wrong = inputs.labels != truth
    ranked = margins(witnesses(inputs), inputs.labels).argsort(descending=True)
    right = wrong[ranked].cumsum(0)
    place = int((right >= 0.8 * int(wrong.sum()) - 1e-9).nonzero()[0])
    found = {one.clip for one in contradicted(inputs)}
    hits = sum(bool(wrong[row]) for row, clip in enumerate(inputs.clips.clips) if clip in found)
    return (
        100 * float(right[place]) / (place + 1),
        100 * hits / int(wrong.sum()),
        100 * hits / max(1, len(found)),
        float(len(found)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    sources = None
    if given.sources:
        sources = read_sources(Path(given.sources[0]), given.sources[1:])
    inputs = Inputs.of(FeatureStore.open(given.store), sources=sources)
    kinds = {
        "all witnesses": inputs,
        "without the encoder's labels": replace(inputs, said=None),
        "clip folds alone": replace(inputs, said=None, text=None),
    }
    print(f"{given.draws} draws, {given.share:.0%} of {len(inputs.labels)} labels swapped\n")
    print(f"{'':30}" + "".join(f"{name:>20}" for name in COLUMNS))
    for name, one in kinds.items():
        rows = []
        for seed in range(given.draws):
            labels = swapped(inputs.labels, given.share, seed)
            draw = replace(one, clips=replace(one.clips, labels=labels))
            begun = time.process_time()
            numbers = found_in(draw, inputs.labels)
            rows.append((*numbers, (time.process_time() - begun) / 2))
        cells = [told(list(some)) for some in zip(*rows, strict=True)]
        print(f"{name:30}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"\nas they are, the check tells {len(contradicted(inputs))} of {len(inputs.labels)}")


if __name__ == "__main__":
    main()
