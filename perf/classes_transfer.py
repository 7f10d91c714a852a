"""What the class embeddings leave a learner to transfer: the measurements behind the defaults.

    python perf/classes_transfer.py             two tables (10 minutes on 2 cores)

No audio or visual features are needed. A "clip" of a class is the text embedding of its name by
*another* encoder (word2vec, CLIP, CLAP) plus noise of the same length: a stand-in, in which what
two encoders agree on about a class is what can be learned. A linear map into class embeddings is
trained with softmax and temperature on two thirds of the 200 ActivityNet classes, and tested on
the others: ZSL among them, HM among all at the best gamma (of the test clips: an upper bound).

The first table says how far two encoders agree on triplet orderings, raw and centred.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from class_embeddings import FILES, _default_text
from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings, diagnose
from ezav.classes.diagnostics import share_of_orderings_kept
from ezav.metrics import seen_unseen_curve

SPLITS, CLIPS, STEPS, BATCH = 2, 6, 150, 128
ALPHAS, MARGINS = (0.05, 0.2, 0.5), (0.02, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description="transfer through class embeddings")
    parser.add_argument("--text", type=Path, default=_default_text())
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    every = {name: ClassEmbeddings.load(arguments.text / file) for name, file in FILES.items()}
    agreement(every)
    transfer({name: e for name, e in every.items() if name.startswith("ActivityNet")})


def centred(x: Tensor) -> Tensor:
    return normalize(x - x.mean(dim=0), dim=1)


def agreement(every: dict[str, ClassEmbeddings]) -> None:
    print("share of triplet orderings of one encoder that hold in another: raw, centred")
    for (a, first), (b, second) in itertools.combinations(every.items(), 2):
        if a.split()[0] != b.split()[0]:
            continue
        x, y = first.vectors, second.select(first.names).vectors
        raw, middle = share_of_orderings_kept(y, x), share_of_orderings_kept(centred(y), centred(x))
        print(f"  {a:22} {b:22} {raw:6.1%} {middle:6.1%}", flush=True)
    print()


def transfer(every: dict[str, ClassEmbeddings]) -> None:
    kinds: dict[str, Callable[[ClassEmbeddings], ClassEmbeddings]] = {
        "raw": lambda text: text,
        "raw, centred": lambda text: text.with_vectors(centred(text.vectors)),
    }
    for margin, alpha, center in itertools.product(MARGINS, ALPHAS, (False, True)):
        recipe = ClassEmbeddingRecipe(alpha=alpha, margin=margin, center=center)
        kinds[f"α {alpha:g}, m {margin:g}{', centred' if center else ''}"] = recipe.prepare
    kinds["shuffled"] = ClassEmbeddingRecipe(source="raw", shuffle=True).prepare
    pairs = list(itertools.permutations(every, 2))
    print(f"transfer, mean of {len(pairs)} pairs of encoders x {SPLITS} splits (± standard error)")
    print("| class embeddings | ZSL | HM | orderings kept | mean nearest |\n|---|--:|--:|--:|--:|")
    for label, make in kinds.items():
        zsl, hm, kept, nearest = [], [], [], []
        made = {name: make(text) for name, text in every.items()}
        for name, text in every.items():
            found = diagnose(made[name], text)
            kept.append(found.orderings_kept)
            nearest.append(found.mean_nearest)
        for source, target in pairs:
            clips = centred(every[source].select(every[target].names).vectors)
            for seed in range(SPLITS):
                a, b = train_and_test(clips, made[target].vectors, seed)
                zsl.append(a)
                hm.append(b)
        geometry = f"{mean(kept):.1%} | {mean(nearest):.2f}"
        print(f"| {label} | {percent(zsl)} | {percent(hm)} | {geometry} |", flush=True)


def percent(values: list[float]) -> str:
    """Mean and standard error, in percent."""
    return f"{100 * mean(values):.1f} ± {100 * stdev(values) / len(values) ** 0.5:.1f}"


def train_and_test(clips: Tensor, w: Tensor, seed: int) -> tuple[float, float]:
    """ZSL accuracy and best HM of a linear map from noisy `clips` `[C, s]` to `w` `[C, d]`."""
    generator = torch.Generator().manual_seed(seed)
    classes, size = clips.shape
    order = torch.randperm(classes, generator=generator)
    known, new = order[: classes * 2 // 3], order[classes * 2 // 3 :]

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        labels = rows.repeat_interleave(CLIPS)
        noise = torch.randn(len(labels), size, generator=generator) / size**0.5
        return normalize(clips[labels] + noise, dim=1), labels

    train, labels = draw(known)
    row = torch.empty(classes, dtype=torch.long)
    row[known] = torch.arange(len(known))
    weight = (torch.randn(size, w.shape[1], generator=generator) / size**0.5).requires_grad_()
    scale = torch.tensor(2.3).requires_grad_()
    optimiser = torch.optim.Adam([weight, scale], lr=3e-3)
    for _ in range(STEPS):
        pick = torch.randint(len(train), (BATCH,), generator=generator)
        scores = scale.exp() * normalize(train[pick] @ weight, dim=1) @ w[known].T
        optimiser.zero_grad()
        cross_entropy(scores, row[labels[pick]]).backward()
        optimiser.step()
    with torch.no_grad():
        test, targets = (torch.cat(both) for both in zip(draw(known), draw(new)))
        scores = normalize(test @ weight, dim=1) @ w.T
    unseen = torch.isin(targets, new)
    zsl = (new[scores[unseen][:, new].argmax(dim=1)] == targets[unseen]).float().mean()
    seen = torch.zeros(classes, dtype=torch.bool)
    seen[known] = True
    return float(zsl), seen_unseen_curve(scores, targets, seen).best_hm


if __name__ == "__main__":
    main()
