"""What the default of `ezav run` is worth on real features, over many choices of unseen classes.

    python perf/stack.py --pictures FOLDER [--splits 20]
    python perf/stack.py --store STORE --unseen 5 [--sources FILE COLUMN] [--kinds FILE]

FOLDER holds `features.npz` (features, label, text) and `words.npz` of pictures of many classes.
30 of them are drawn anew for every split, 6 unseen. Their words are over labels that are none of
the classes; which labels these are is read off `words.npz`, and the words are made anew of them at
the temperature of today. STORE is a feature store; its own splits are
ignored. `--sources` names a CSV file (path, COLUMN): clips of one source are never on both sides of
a split. `--kinds` names a CSV file (class, group): of every group equally many are unseen.

Every row learns its gamma, and the stack its weights, on class folds of each split's known clips:
nothing is chosen on test clips. "HM best" is the HM at the gamma that is best on the test clips.
All rows see the same splits; differences are paired. Splits share clips, so that the true error is
somewhat larger.
"""

from __future__ import annotations

import argparse
import csv
import functools
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.encoders.registry import load_text, load_visual
from ezav.features import FeatureStore
from ezav.features.splits import SPLITS
from ezav.features.tokens import Tokens
from ezav.methods.best.logit import FoldScores, Stack, fit_stack
from ezav.methods.best.members import FORMS, ClosedForms
from ezav.methods.best.method import GAMMA, START
from ezav.methods.common.centring import aligned_scores, centred
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.folds import ClassFold, class_folds, hold_out
from ezav.protocol.labels import label_head

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
LEFT_OUT = Path(__file__).with_name("strict_labels.txt")
"""Rows of ImageNet's labels that the words of the pictures do without."""
COLUMNS = ("HM", "ZSL", "HM best", "seconds")


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
    of_clip = dict.fromkeys(clips.clips, "")
    if sources is not None:
        with Path(sources[0]).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                of_clip[_stem(row["path"])] = row[sources[1]]
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
            f"{name}/{of_clip.get(_stem(clip)) or clip}"
            for clip, name in zip(clips.clips, names, strict=True)
        ),
        text=text.vectors,
        kinds=tuple(kind[name] for name in clips.classes),
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


def rows_of(clips: Clips, split: Split) -> dict[str, tuple[float, ...]]:
    """Row -> its numbers on one split, in percent."""
    begun = time.process_time()
    folds = folds_of(clips, split)
    test = scored(clips, split.known, split.test, split.seen, torch.arange(len(clips.text)))
    start = torch.tensor([START.get(name, 0.0) for name in NAMES], dtype=torch.float64)
    learned = fit_stack(folds, start, GAMMA, 0.7 / int(split.seen.sum()))
    took = time.process_time() - begun
    nothing = torch.zeros(len(NAMES), dtype=torch.float64)
    stacks = {"best": learned, FEWER: without_labels(folds, start, 0.7 / int(split.seen.sum()))}
    for row, weights in FIXED.items():
        weight = torch.tensor([weights.get(name, 0) for name in NAMES], dtype=torch.float64)
        stacks[row] = Stack(weight, nothing)
    found = {}
    for row, stack in stacks.items():
        parts = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in folds]
        gamma = smoothed_gamma(parts).gamma
        scores = stack.scores(test.members.double(), test.seen)
        at = gzsl_scores(scores, test.targets, test.seen, gamma)
        best = seen_unseen_curve(scores, test.targets, test.seen).best_hm
        found[row] = (100 * at.HM, 100 * at.ZSL, 100 * best, took if row == "best" else 0.0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--sources", nargs=2, metavar=("FILE", "COLUMN"))
    parser.add_argument("--kinds", type=Path)
    parser.add_argument("--unseen", type=int, default=6)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    whole = given.store and of_store(given.store, given.sources, given.kinds)
    results: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(given.first, given.first + given.splits):
        clips = whole or pictures(given.pictures, seed)
        split = split_of(clips, seed, given.unseen)
        for row, numbers in rows_of(clips, split).items():
            results.setdefault(row, []).append(numbers)
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


def told(values: list[float], sign: str = "") -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.fmean(values):{sign}.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()
