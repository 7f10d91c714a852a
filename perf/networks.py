"""What networks are worth on real features: part by part, and as members of the stack.

    python perf/networks.py --store STORE --unseen 5 --sources FILE COLUMN [--kept F]
    python perf/networks.py --pictures FOLDER [--rows cosine] [--splits 20]

Stores, pictures, `--sources` and `--kinds` are those of `perf/splits.py`. The reference is the
network of the recipe `ez_avgzl_prior` (cosine, raw text, one network) beside ESZSL and half the
words; every other row changes one thing. A network is trained once and the prior is added
afterwards, so that all rows of one network share it. Epoch, gamma and the weight of frozen scores
come from the class folds of each split's known clips, "one fold" takes the first of these alone;
nothing is chosen on test clips.

"stack" rows are `best` with networks among its members, from starting weight 0 by the same logit on
the same folds: EZ-AVGZL, which is the reference's network after its last epoch, and an MLP (one
hidden layer of 1,024 to the text, cosine, as many epochs). Classes are divided into folds once, for
`best` too.

What is done is kept in a file (`--kept`); a stopped command goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.classes import ClassEmbeddingRecipe
from ezav.methods.best.logit import fit_stack
from ezav.methods.best.method import GAMMA, START
from ezav.methods.common.centring import centred
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.prior import ClosedPrior, best_weight, fixed_weight
from ezav.metrics import gzsl_scores, seen_unseen_curve
from ezav.metrics.smoothed import smoothed_gamma
from ezav.protocol.confusion import SeenClassifier
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.safe_io import atomic_path
from parts import CLOSED, ESZSL, SUM, fixed, numbers_of, weights
from prior import COSINE, TRAINING
from splits import Split, options, splits_of, told
from stack import folds_of_classes, scored
from world import World

RAW = ClassEmbeddingRecipe(source="raw")
NETWORKS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "attention": {"similarity": "attention"},
    "2 fusion layers": {"layers": 2},
    "3 members": {"members": 3},
    "ceo 0.05": {"classes": ClassEmbeddingRecipe(alpha=0.05)},
    "ceo 0.3": {"classes": ClassEmbeddingRecipe(alpha=0.3)},
}
"""Row -> what is other than in the reference, which is the first."""
FIRST = "cosine"
PRIORS = ("none", "frozen", "closed")
ONE = ", one fold"
STACKS = {"best": (), "stack + EZ": ("EZ",), "stack + MLP": ("MLP",), "stack + both": ("EZ", "MLP")}
HIDDEN, SCALE, PASSES, BATCH = 1024, 20.0, 12, 64
"""Of the MLP."""

Numbers = tuple[float, ...]
"""HM, ZSL, HM at the best gamma, in percent."""


@dataclass(frozen=True)
class Said:
    """What a network says of held-out clips, `[N, C]` after each epoch, and the priors `[N, C]`."""

    epochs: list[Tensor]
    priors: dict[str, Tensor]
    targets: Tensor
    seen: Tensor
    scale: float


def said_by(
    world: World, run: TwoStageProtocol, rows: Tensor, held: Tensor, names: Tensor, seen: Tensor
) -> Said:
    """Train on some clips of the seen classes; others are told among `names`."""
    world = world.with_classes(run.config.classes, rows, seen, names)
    trainer = world.trainer(run, rows, seen)
    method = trainer.method
    assert isinstance(method, EzAvgzl)
    assert isinstance(method.prior, ClosedPrior)
    method.prior_weight_.zero_()
    test = world.held_out(trainer, held, names, seen)
    epochs = []
    for _ in range(run.training.epochs):
        trainer.run_epoch()
        epochs.append(test.score(method))
    own = world.held_out(trainer, rows, seen.nonzero()[:, 0], seen).score(method)
    priors = {
        "none": torch.zeros_like(epochs[0]),
        "frozen": test.score(method.prior.frozen),
        "closed": test.score(method.prior),
    }
    return Said(epochs, priors, test.clips.labels, test.seen, float(own.std(correction=0)))


def run_of(changes: dict[str, Any]) -> TwoStageProtocol:
    """The network is trained alone: its prior weighs nothing in the loss."""
    settings = {"classes": RAW, **COSINE, **changes}
    config = EzAvgzlConfig(prior="closed", prior_weight=0.0, **settings)
    return TwoStageProtocol(method="ez_avgzl", config=config, training=TRAINING)


def with_prior(folds: Sequence[Said], test: Said, prior: str) -> Numbers:
    """The epoch, the prior's weight and gamma from the folds, then the test clips."""
    best, most = None, -1.0
    for epoch in range(len(test.epochs)):
        networks = [fold.epochs[epoch] for fold in folds]
        weight = 0.0
        if prior == "closed":
            weight = fixed_weight(networks)
        elif prior == "frozen":
            parts = [
                (network, fold.priors[prior], fold.targets, fold.seen)
                for network, fold in zip(networks, folds, strict=True)
            ]
            weight = best_weight(parts)
        sums = [n + weight * fold.priors[prior] for n, fold in zip(networks, folds, strict=True)]
        unit = sum(float(one.double().std()) for one in sums) / len(sums)
        given = [(one, fold.targets, fold.seen) for one, fold in zip(sums, folds, strict=True)]
        at = smoothed_gamma(given, unit)
        if at.around > most:
            best, most = (epoch, weight, at.gamma), at.around
    assert best is not None
    epoch, weight, gamma = best
    scores = test.epochs[epoch] + weight * test.priors[prior]
    result = gzsl_scores(scores, test.targets, test.seen, gamma)
    top = seen_unseen_curve(scores, test.targets, test.seen).best_hm
    return 100 * float(result.HM), 100 * float(result.ZSL), 100 * float(top)


class Mlp(nn.Sequential):
    """From clips at unit length `[N, D]` to the text."""

    def __init__(self, dim: int, text: int) -> None:
        super().__init__(
            nn.Dropout(0.2), nn.Linear(dim, HIDDEN), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(HIDDEN, text),
        )  # fmt: skip

    def scores(self, inputs: Tensor, text: Tensor) -> Tensor:
        return SCALE * F.normalize(self(inputs), dim=1) @ text.T


def mlp_scores(
    world: World, rows: Tensor, held: Tensor, names: Tensor, seen: Tensor, passes: int = PASSES
) -> Tensor:
    """`[N, C]` of held-out clips, at standard deviation 1 over the training clips."""
    clips = SeenClassifier(world.stage(rows, seen, names))
    mean = F.normalize(world.text[seen], dim=1).mean(dim=0)
    own, text = centred(world.text[seen], mean), centred(world.text[names], mean)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Mlp(clips.inputs.shape[1], world.text.shape[1])
        adam = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
        for _ in range(passes):
            for some in torch.randperm(len(rows)).split(BATCH):
                adam.zero_grad()
                loss = F.cross_entropy(network.scores(clips.inputs[some], own), clips.labels[some])
                loss.backward()
                adam.step()
    network.eval()
    with torch.inference_mode():
        spread = network.scores(clips.inputs, own).std(correction=0)
        return network.scores(clips.inputs_of(world.clips.subset(held)), text) / spread


def rows_of(world: World, split: Split, row: str) -> dict[str, Numbers]:
    """The rows of one network on one split; of the first those of the stack too."""
    every, known = torch.arange(len(split.seen)), split.seen.nonzero()[:, 0]
    folds = list(folds_of_classes(world.whole, split, repeats=1))
    tasks = [(split.known[f.train], split.known[f.held_out], known, seen) for f, seen in folds]
    tasks.append((split.known, split.test, every, split.seen))
    run = run_of(NETWORKS[row])
    *said, test = (said_by(world, run, *task) for task in tasks)
    found = {f"{row} / {prior}": with_prior(said, test, prior) for prior in PRIORS}
    if row == FIRST:
        for prior in PRIORS:
            found[f"{row} / {prior}{ONE}"] = with_prior(said[:1], test, prior)
        more = {
            "EZ": [one.epochs[-1] / one.scale for one in (*said, test)],
            "MLP": [mlp_scores(world, *task) for task in tasks],
        }
        found |= stacks_of(world, split, tasks, more)
    return found


def stacks_of(
    world: World, split: Split, tasks: Sequence[tuple[Tensor, ...]], more: dict[str, list[Tensor]]
) -> dict[str, Numbers]:
    """`best` with more members; the last task is the test."""
    closed = [scored(world.whole, rows, held, seen, names) for rows, held, names, seen in tasks]
    found = {}
    for stack, added in STACKS.items():
        parts = []
        for i, one in enumerate(closed):
            members = torch.cat([one.members, *(more[name][i][..., None] for name in added)], dim=2)
            parts.append(replace(one, members=members))
        start = torch.cat([weights(START), torch.zeros(len(added), dtype=torch.float64)])
        learned = fit_stack(parts[:-1], start, GAMMA, 0.7 / int(split.seen.sum()))
        found[stack] = numbers_of(parts[:-1], parts[-1], learned)
    for row in (ESZSL, SUM):
        found[row] = numbers_of(closed[:-1], closed[-1], fixed(CLOSED[row]))
    return found


def main() -> None:
    parser = options(__doc__, first=1000)
    parser.add_argument("--rows", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    if given.kept and given.kept.is_file():
        found = json.loads(given.kept.read_text())
    for seed, clips, split in splits_of(given):
        world = World.of(clips, given.store)
        for row in given.rows:
            if str(seed) in found.get(f"{row} / none", {}):
                continue
            begun = time.process_time()
            numbers = rows_of(world, split, row)
            seconds = time.process_time() - begun
            for name, one in numbers.items():
                found.setdefault(name, {})[str(seed)] = [*one, seconds]
            if given.kept:
                with atomic_path(given.kept) as temporary:
                    temporary.write_text(json.dumps(found))
    show(found)


def show(found: dict[str, dict[str, list[float]]]) -> None:
    print("\npercent, mean ± standard error over class splits; differences paired")
    print(f"{'':30}{'splits':>7}{'HM':>14}{'ZSL':>14}{'HM best':>14}{'CPU s':>8}{'':4}minus")
    for row, every in found.items():
        rows = list(every.values())
        cells = "".join(f"{told([one[i] for one in rows]):>14}" for i in range(3))
        seconds = sum(one[3] for one in rows) / len(rows)
        network, _, prior = row.partition(" / ")
        against = "best" if not prior else f"{FIRST} / {prior.removesuffix(ONE)}"
        if network == FIRST and not row.endswith(ONE):
            against = f"{FIRST} / closed"
        less = ""
        for other in {against, SUM if prior.endswith("closed") else against} - {row}:
            both = [seed for seed in every if seed in found.get(other, {})]
            for i in (0, 2):
                pairs = [every[seed][i] - found[other][seed][i] for seed in both]
                less += f"{told(pairs, '+'):>14}"
            less += f" {other};"
        print(f"{row:30}{len(rows):>7}{cells}{seconds:>8.1f}{less}", flush=True)


if __name__ == "__main__":
    main()
