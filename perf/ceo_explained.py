"""Why class embedding optimisation (CEO) pays on some data and not on other: two tests.

    python perf/ceo_explained.py parts ezav-demo/store-0
    python perf/ceo_explained.py geometry vggsound-cls --text FILE --splits FOLDER --out OUT

`parts`, on the toy world, whose class names are combinations of four parts: a ridge regression
from the parts of a class to its embedding, fitted on three quarters of the classes, and how much of
the embeddings of the others it predicts (R²; 1: all, 0: no more than their mean. Fourteen free
numbers fitted to 24 classes give about -1.5 where the parts say nothing: compare with "shuffled").
What the parts do not say about an unseen class cannot be learned from seen ones. Beside it the
effective rank of the embeddings (the exponential of the entropy of their squared singular values,
centred) and how near classes come. Mean over 40 choices of the unseen classes; no clip is read.

`geometry`, on a simulated suite (not clipclap, which has two texts): its features are drawn around
the raw text, or around the text after CEO; on either, EZ-AVGZL is trained with raw and with
optimised class embeddings. If what counts is whose geometry the features follow, the two matching
pairs win. Finished runs are kept.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.benchmarks.runner import Job, run_jobs
from ezav.benchmarks.simulate import plan_simulation, write_store
from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings, diagnose
from ezav.features import FeatureStore
from ezav.features.toy.design import COLOURS, MOTIONS, SHAPES, SOUNDS
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.recipes import protocol_for

METHOD = "ez_avgzl"
CHOICES = 40
PENALTY = 0.01
"""Of the ridge regression; 18 parts explain 24 classes almost without it."""
FULL = EzAvgzlConfig().classes
RAW = ClassEmbeddingRecipe(source="raw")
EMBEDDINGS = {
    "raw text": RAW,
    **{f"alpha {alpha:g}": replace(FULL, alpha=alpha) for alpha in (0.05, 0.1, 0.25, 0.5, 0.75)},
    "separation only": replace(FULL, alpha=1.0),
    **{f"margin {margin:g}": replace(FULL, margin=margin) for margin in (0.01, 0.05, 0.2, 0.5)},
    "shuffled": replace(RAW, shuffle=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("parts")
    one.add_argument("store", type=Path)
    two = commands.add_parser("geometry")
    two.add_argument("suite")
    two.add_argument("--text", type=Path)
    two.add_argument("--splits", type=Path)
    two.add_argument("--out", type=Path, required=True)
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--processes", type=int)
    arguments = parser.parse_args()
    if arguments.what == "parts":
        parts(FeatureStore.open(arguments.store).class_embeddings())
    else:
        geometry(arguments)


def parts(text: ClassEmbeddings) -> None:
    values = (*COLOURS, *SHAPES, *MOTIONS, *SOUNDS)
    has = torch.tensor([[float(value in name) for value in values] for name in text.names])
    print("| class embeddings | R² of unseen classes | effective rank | nearest | orderings kept |")
    print("|---|--:|--:|--:|--:|")
    for label, recipe in EMBEDDINGS.items():
        made = recipe.prepare(text)
        found = diagnose(made, text)
        print(
            f"| {label} | {told_by(has, made.vectors):.2f} | {effective_rank(made.vectors):.1f} | "
            f"{found.mean_nearest:.2f} | {found.orderings_kept:.1%} |"
        )


def told_by(has: Tensor, w: Tensor) -> float:
    """R² of the embeddings `w` `[C, d]` of unseen classes, predicted from `has` `[C, parts]`."""
    shares = []
    for seed in range(CHOICES):
        order = torch.randperm(len(w), generator=torch.Generator().manual_seed(seed))
        unseen, seen = order[: len(w) // 4], order[len(w) // 4 :]
        middle, level = has[seen].mean(dim=0), w[seen].mean(dim=0)
        x, y = has[seen] - middle, w[seen] - level
        weight = torch.linalg.solve(x.T @ x + PENALTY * torch.eye(x.shape[1]), x.T @ y)
        error = (has[unseen] - middle) @ weight + level - w[unseen]
        shares.append(1 - float(error.square().sum() / (w[unseen] - level).square().sum()))
    return statistics.mean(shares)


def effective_rank(w: Tensor) -> float:
    """`exp(-Σ p log p)`, p the shares of the squared singular values of the centred rows."""
    share = normalize(torch.linalg.svdvals(w - w.mean(dim=0)).square(), p=1, dim=0)
    return float(torch.special.entr(share).sum().exp())


def geometry(arguments: argparse.Namespace) -> None:
    files = [arguments.text] if arguments.text else []
    plan = plan_simulation(arguments.suite, text=files, class_split=arguments.splits)
    (raw,) = plan.text
    optimised = replace(raw, vectors=FULL.prepare(raw).vectors, encoder=f"{raw.encoder} after CEO")
    jobs = []
    for around, text in (("raw text", (raw,)), ("CEO", (optimised, raw))):
        # Features follow the first text; the method is given the second, or the only one.
        store = arguments.out / f"around-{around.replace(' ', '-')}-simulated"
        write_store(replace(plan, text=text), store)
        for label, source in (("raw text", "raw"), ("CEO", "ceo")):
            protocol = protocol_for(
                METHOD,
                FeatureStore.open(store),
                config={"classes": {"source": source}},
                text_encoder=raw.encoder,
            )
            jobs += [
                Job(
                    protocol=replace(protocol, seed=seed),
                    store=store,
                    folder=arguments.out / "runs" / f"{store.stem}-{source}" / f"seed-{seed}",
                    label=f"{around} | {label}",
                )
                for seed in range(arguments.seeds)
            ]
    found: dict[str, list[float]] = {}
    for job, result in zip(jobs, run_jobs(jobs, arguments.processes)):
        found.setdefault(job.label, []).append(result.metrics.HM)
    print("| features drawn around | class embeddings | HM |\n|---|---|--:|")
    for label, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"| {label} | {100 * statistics.mean(values):.1f} ± {100 * spread:.1f} |")


if __name__ == "__main__":
    main()
