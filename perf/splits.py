"""Clips of a store, or pictures, and many class splits of them: what the scripts beside this share.

Pictures are those of a folder with `features.npz` (features, label, text) and `words.npz`. 30 of
their classes are drawn anew for every split. Their words are over labels that are none of the
classes; which labels these are is read off `words.npz`, and the words are made anew of them at the
temperature of today. Of a store its own splits are ignored.
"""

from __future__ import annotations

import argparse
import csv
import functools
import random
import statistics
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.encoders.registry import load_text, load_visual
from ezav.features import FeatureStore
from ezav.features.sources import read_sources
from ezav.features.splits import SPLITS
from ezav.features.tokens import Tokens
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.protocol.folds import hold_out
from ezav.protocol.labels import label_head

LEFT_OUT = Path(__file__).with_name("strict_labels.txt")
"""Rows of ImageNet's labels that the words of the pictures do without."""


@dataclass(frozen=True)
class Clips:
    """N clips of C classes, one mean token a modality, and what labels say of them."""

    audio: Tokens
    visual: Tokens
    reader: LabelWords
    words: Tensor
    shares: Tensor
    labels: Tensor
    sources: tuple[str, ...]
    text: Tensor
    kinds: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """bool `[C]`, and rows of clips: to learn from, to test on."""

    seen: Tensor
    known: Tensor
    test: Tensor


def pictures(folder: Path, draw: int, classes: int = 30) -> Clips:
    """Some of the classes of pictures, drawn at random; there is no sound."""
    features = np.load(folder / "features.npz")
    chosen = sorted(random.Random(1000 + draw).sample(range(len(features["text"])), classes))
    rows = np.flatnonzero(np.isin(features["label"], chosen))
    place = {label: row for row, label in enumerate(chosen)}
    audio = Tokens.pooled(torch.zeros(len(rows), 1), torch.zeros(len(rows), dtype=torch.bool))
    visual = Tokens.pooled(torch.from_numpy(features["features"][rows].astype(np.float32)))
    reader = LabelWords(audio.dim, visual.dim, features["text"].shape[1])
    reader.know(strict_labels(folder))
    return Clips(
        audio=audio,
        visual=visual,
        reader=reader,
        words=reader(audio, visual),
        shares=reader.shares(audio, visual),
        labels=torch.tensor([place[int(label)] for label in features["label"][rows]]),
        sources=tuple(map(str, rows)),
        text=torch.from_numpy(features["text"][chosen]),
        kinds=("",) * classes,
        names=tuple(map(str, chosen)),
    )


@functools.cache
def strict_labels(folder: Path) -> LabelHead:
    """The labels that the words of pictures are made of.

    Those left out were found as the ones that no picture's words need; that the rest makes the
    words of `words.npz` again, to rounding, is checked here.
    """
    network, text = load_visual("efficientnet"), load_text("minilm")
    weight, bias = network.head()
    firsts = [label.split(", ")[0] for label in network.labels]
    vectors = F.normalize(torch.from_numpy(np.asarray(text.encode(firsts))), dim=1)
    used = torch.ones(len(vectors), dtype=torch.bool)
    used[[int(row) for row in LEFT_OUT.read_text(encoding="utf-8").split()]] = False
    head = LabelHead("visual", weight[used], bias[used], vectors[used])
    features = torch.from_numpy(np.load(folder / "features.npz")["features"].astype(np.float32))
    told = torch.from_numpy(np.load(folder / "words.npz")["words"].astype(np.float32))
    again = (features @ head.weight.T + head.bias).softmax(dim=1) @ head.vectors
    assert float(F.cosine_similarity(again, told).min()) > 0.99, "other words than these labels'"
    return head


def of_store(path: Path, sources: tuple[str, str] | None, kinds: Path | None) -> Clips:
    """All clips of a store, whatever their split."""
    store = FeatureStore.open(path)
    clips, text = store.select(*SPLITS), store.class_embeddings()
    everything = torch.arange(len(clips))
    audio, visual = (one.gather(everything, pooled=True) for one in (clips.audio, clips.visual))
    words = LabelWords(audio.dim, visual.dim, text.dim)
    head = label_head(store.header, text.encoder)
    if head is None:
        raise SystemExit("the store's encoders know no labels by name")
    words.know(head)
    given = read_sources(Path(sources[0]), sources[1:]) if sources else {}
    of_clip = {_stem(path): source for path, source in given.items()}
    names = [clips.classes[label] for label in clips.labels.tolist()]
    kind = dict.fromkeys(clips.classes, "")
    if kinds is not None:
        with kinds.open(encoding="utf-8", newline="") as file:
            kind.update({row["class"]: row["group"] for row in csv.DictReader(file)})
    return Clips(
        audio=audio,
        visual=visual,
        reader=words,
        words=words(audio, visual),
        shares=words.shares(audio, visual),
        labels=clips.labels,
        sources=tuple(
            f"{name}/{of_clip.get(_stem(clip), clip)}"
            for clip, name in zip(clips.clips, names, strict=True)
        ),
        text=text.vectors,
        kinds=tuple(kind[name] for name in clips.classes),
        names=clips.classes,
    )


def _stem(path: str) -> str:
    return Path(path).stem


def split_of(clips: Clips, seed: int, unseen: int) -> Split:
    draw = random.Random(seed)
    classes, kinds = len(clips.text), sorted(set(clips.kinds))
    seen = torch.ones(classes, dtype=torch.bool)
    for kind in kinds:
        among = [row for row in range(classes) if clips.kinds[row] == kind]
        seen[draw.sample(among, unseen // len(kinds))] = False
    held = hold_out(clips.labels, classes, clips.sources, torch.Generator().manual_seed(seed))
    is_seen = seen[clips.labels]
    known = (is_seen & ~held).nonzero()[:, 0]
    return Split(seen, known, (~is_seen | held).nonzero()[:, 0])


def options(about: str | None, first: int = 0) -> argparse.ArgumentParser:
    """Which clips, and which splits of them."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    clips = parser.add_mutually_exclusive_group(required=True)
    clips.add_argument("--pictures", type=Path, metavar="FOLDER")
    clips.add_argument("--store", type=Path, help="a feature store; its splits are ignored")
    parser.add_argument(
        "--sources",
        nargs=2,
        metavar=("FILE", "COLUMN"),
        help="a CSV file (path, COLUMN): clips of one source are on one side of a split",
    )
    parser.add_argument(
        "--kinds", type=Path, help="a CSV file (class, group): of every group equally many unseen"
    )
    parser.add_argument("--unseen", type=int, default=6, help="classes")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first", type=int, default=first, help="seed of the first split")
    return parser


def splits_of(
    given: argparse.Namespace, done: Container[str] = ()
) -> Iterator[tuple[int, Clips, Split]]:
    """Seed, clips and split, of what :func:`options` asked for and is not done."""
    store = of_store(given.store, given.sources, given.kinds) if given.store else None
    for seed in range(given.first, given.first + given.splits):
        if str(seed) not in done:
            clips = store or pictures(given.pictures, seed)
            yield seed, clips, split_of(clips, seed, given.unseen)


def told(values: list[float], sign: str = "") -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.fmean(values):{sign}.1f} ± {error:.1f}"
