"""What a frozen recogniser is worth, clip by clip and together, and what guards it.

    python perf/frozen.py STORE [STORE ...]

STORE is what `ezav extract VIDEOS --out STORE` writes with the default encoders. Nothing is
trained; pictures alone; all classes of the store are named. The rows are ways to answer, the
columns folders of its clips: all of them; those of one, three and six classes only; five and twenty
clips at random; sixty with skewed shares (20 draws each). A cell is the mean accuracy in %, and in
brackets the worst draw against clip by clip. "together" is what `--together` does; the rows below
it are the other way, and both without the guard (:func:`ezav.recognizer.together.trust`).
All rows but the first are transductive.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.features import FeatureStore
from ezav.recognizer import Recognizer, together
from ezav.recognizer.frozen_method import FrozenMethod

DRAWS = 20
Ways = dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]


def unguarded(by: together.By) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def found(vectors: Tensor, names: Tensor, mean: Tensor) -> Tensor:
        with patch.object(together, "trust", lambda cosines: 1.0):
            return together.answer(vectors, names, mean, by).cosines

    return found


def equal_shares(vectors: Tensor, names: Tensor, mean: Tensor) -> Tensor:
    return together.assignment(normalize(vectors - mean, dim=1) @ names.T, float("inf"))


WAYS: Ways = {
    "clip by clip": lambda v, n, m: normalize(v - m, dim=1) @ n.T,
    "**together** (mixture)": lambda v, n, m: together.answer(v, n, m).cosines,
    "assignment": lambda v, n, m: together.answer(v, n, m, "assignment").cosines,
    "mixture, no guard": unguarded("mixture"),
    "assignment, no guard": unguarded("assignment"),
    "assignment to equal shares": equal_shares,
}


def folders(labels: np.ndarray, classes: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name of the kind of folder, and the rows of its clips."""
    draw = np.random.default_rng(0)
    rows = np.arange(len(labels))
    yield "all", rows
    for _ in range(DRAWS):
        for few in (1, 3, 6):
            some = draw.choice(classes, few, replace=False)
            yield f"{few} classes", rows[np.isin(labels, some)]
        yield "5 clips", draw.choice(rows, 5, replace=False)
        yield "20 clips", draw.choice(rows, 20, replace=False)
        share = draw.dirichlet(np.full(classes, 0.3))[labels]
        yield "skewed", np.unique(draw.choice(rows, 60, p=share / share.sum()))


def table(path: Path) -> None:
    store = FeatureStore.open(path)
    clips = store.select(*store.splits)
    recognizer = Recognizer.frozen()
    assert isinstance(recognizer.model.method, FrozenMethod)
    (channel,) = recognizer.model.method.channels
    tokens = clips.visual.gather(torch.arange(len(clips)))
    vectors = channel.vectors(tokens)
    names = channel.names(recognizer.candidates(store.classes).new_vectors)
    mean = channel.mean
    assert mean is not None
    labels = clips.labels.numpy()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for kind, rows in folders(labels, len(store.classes)):
        for way, of in WAYS.items():
            answers = of(vectors[rows], names, mean).argmax(dim=1).numpy()
            found[way][kind].append(100 * float((answers == labels[rows]).mean()))
    alone = found["clip by clip"]
    print(f"\n{path}: {len(clips)} clips, {len(store.classes)} names\n")
    print("| | " + " | ".join(alone) + " |\n|---|" + "--:|" * len(alone))
    for way, by_kind in found.items():
        cells = []
        for kind, right in by_kind.items():
            worst = min(np.array(right) - np.array(alone[kind]))
            cells.append(f"{np.mean(right):.1f} ({worst:+.0f})")
        print(f"| {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="+")
    for one in parser.parse_args().stores:
        table(one)
