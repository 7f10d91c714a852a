"""What aiSFX's classifiers call their outputs, and what that is worth where names are given.

    python perf/sound_labels.py STORE [STORE ...]

STORE is what `ezav extract VIDEOS --out STORE` writes with the default encoders. No list of labels
comes with the classifiers. Three are of libraries sorted by the Universal Category System, which
has 82 categories; they have 78, 79 and 69 outputs. If each stands in alphabetical order, the
outputs of two that agree about the stores' sounds follow each other: an alignment that keeps both
orders (with gaps) is far better than with one order shuffled. Its gaps, and the categories that
some sounds of known class are given, say which categories each lacks: the first ARCHIVED, CERAMICS,
ICE and WINDOWS, the second ARCHIVED, FOLEY and GEOTHERMAL. Each gap could stand one or two places
beside.

Then what the first one says of names, clip by clip, mean over classes in %: nothing is trained, all
classes of the store are named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ezav.encoders.aisfx import WEIGHTS
from ezav.encoders.aisfx_network import classifier
from ezav.encoders.overlap import known_labels
from ezav.encoders.packaged import read_packaged
from ezav.features import FeatureStore
from ezav.recognizer import Recognizer
from ezav.recognizer.frozen_method import FrozenMethod

LIBRARIES = {"Pro Sound Effects": 0, "Soundly": 1, "UCS mix": 2}
GAP = 0.1
"""What an output without a counterpart costs, in units of correlation."""
MIXED = 6000
SHUFFLED = 20


def networks() -> dict[str, nn.Sequential]:
    weights, found = read_packaged(WEIGHTS), {}
    for name, row in LIBRARIES.items():
        prefix = f"fc.{row}."
        state = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        found[name] = classifier(512, len(state["4.bias"])).requires_grad_(False)
        found[name].load_state_dict(state)
    return found


def sounds(paths: list[Path]) -> Tensor:
    """Blocks of the stores' sounds, and the louder of two in each of 512 numbers, `[B, 512]`."""
    parts = []
    for path in paths:
        store = FeatureStore.open(path)
        parts.append(store.select(*store.splits).audio.values.float())
    blocks = torch.cat(parts)
    draw = torch.Generator().manual_seed(0)
    pair = torch.randint(len(blocks), (2, MIXED), generator=draw)
    return torch.cat([blocks, torch.maximum(*blocks[pair])])


def standardised(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(dim=1, keepdim=True)
    return (centred - centred.mean(dim=0)) / centred.std(dim=0, correction=0)


def aligned(likeness: np.ndarray) -> tuple[float, list[int], list[int]]:
    """The best alignment that keeps both orders: its value, and the rows and columns left out."""
    rows, columns = likeness.shape
    value = np.full((rows + 1, columns + 1), 0.0)
    value[:, 0], value[0] = -GAP * np.arange(rows + 1), -GAP * np.arange(columns + 1)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            both = value[i - 1, j - 1] + likeness[i - 1, j - 1]
            value[i, j] = max(both, value[i - 1, j] - GAP, value[i, j - 1] - GAP)
    i, j, without = rows, columns, (list[int](), list[int]())
    while i or j:
        if i and j and value[i, j] == value[i - 1, j - 1] + likeness[i - 1, j - 1]:
            i, j = i - 1, j - 1
        elif i and (not j or value[i, j] == value[i - 1, j] - GAP):
            i -= 1
            without[0].insert(0, i)
        else:
            j -= 1
            without[1].insert(0, j)
    return float(value[-1, -1]), *without


def orders(paths: list[Path]) -> None:
    blocks = sounds(paths)
    said = {name: standardised(net(blocks)).double() for name, net in networks().items()}
    draw = np.random.default_rng(0)
    for first, second in (
        (a, b) for i, a in enumerate(LIBRARIES) for b in list(LIBRARIES)[i + 1 :]
    ):
        likeness = (said[first].T @ said[second] / len(blocks)).numpy()
        value, left, right = aligned(likeness)
        shuffled = [
            aligned(likeness[:, draw.permutation(likeness.shape[1])])[0] for _ in range(SHUFFLED)
        ]
        print(f"{first} ({len(likeness)}) and {second} ({likeness.shape[1]})")
        print(f"  in order {value:.1f}; shuffled {np.mean(shuffled):.1f} ± {np.std(shuffled):.1f}")
        print(f"  outputs without a counterpart: {left} and {right}")


def heard(path: Path) -> None:
    store = FeatureStore.open(path)
    clips = store.select(*store.splits)
    rows = torch.arange(len(clips))
    audio, visual = clips.audio.gather(rows), clips.visual.gather(rows)
    print(f"{path.name}: {len(clips)} clips of {len(store.classes)} classes")
    has = audio.present
    net = networks()["Pro Sound Effects"]
    for row, name in enumerate(store.classes):
        some = audio.mean()[has & (clips.labels == row)]
        if len(some):
            top = net(some).softmax(dim=1).mean(dim=0).topk(3)
            parts = zip(top.indices.tolist(), top.values.tolist())
            told = [f"{known_labels('UCS')[label]} {share:.0%}" for label, share in parts]
            print(f"  {name:28}{', '.join(told)}")
    for words, one, counted in (
        ("sound alone", Recognizer.frozen(audio="aisfx"), has),
        ("pictures alone", Recognizer.frozen(), torch.ones(len(clips), dtype=torch.bool)),
        ("both", Recognizer.frozen(audio="aisfx"), torch.ones(len(clips), dtype=torch.bool)),
    ):
        assert isinstance(one.model.method, FrozenMethod)
        vectors = one.candidates(store.classes).new_vectors
        seen = visual.without() if words == "sound alone" else visual
        best = one.model.method.scores(audio, seen, vectors).argmax(dim=1)
        right = (best == clips.labels).float()
        each = [right[counted & (clips.labels == row)] for row in clips.labels[counted].unique()]
        share = torch.stack([some.mean() for some in each]).mean()
        print(f"  {words}: {share:.1%} of {int(counted.sum())} clips")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", type=Path, nargs="+")
    given = parser.parse_args()
    orders(given.stores)
    for store in given.stores:
        heard(store)


if __name__ == "__main__":
    main()
