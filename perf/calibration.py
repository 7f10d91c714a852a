"""Exact calibration against a grid: one curve over every gamma, or 76 argmins in torch.

At the size of the VGGSound-GZSL test (12,482 clips, 276 classes). The grid does what the peers'
evaluation does at its heart and no more (no recall): add beta to the seen columns, argmin; the
exact side does everything, from scores to best gamma, S, U, HM and AUSUC. Runs alternate and the
fastest of each are compared, so that whatever else runs on the machine disturbs least.

    python perf/calibration.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ezav.metrics import gzsl_scores, peer_grid, seen_unseen_curve

CLIPS, SEEN, UNSEEN = (9032, 3450), 207, 69
REPEATS = 15


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = torch.arange(SEEN + UNSEEN) < SEEN
    seen = seen[torch.randperm(len(seen), generator=generator)]
    sides = (seen.nonzero()[:, 0], (~seen).nonzero()[:, 0])
    targets = torch.cat(
        [side[torch.randint(len(side), (n,), generator=generator)] for side, n in zip(sides, CLIPS)]
    )
    scores = torch.randn(len(targets), len(seen), generator=generator)
    scores[torch.arange(len(targets)), targets] += 2.0
    distances, bias = 5 - scores, seen.float()
    betas = peer_grid("clipclap").tolist()

    def grid() -> None:
        for beta in betas:
            torch.argmin(distances + beta * bias, dim=1)

    def exact() -> None:
        curve = seen_unseen_curve(scores, targets, seen)
        curve.ausuc  # noqa: B018

    print(f"{len(targets):,} clips x {len(seen)} classes, {len(betas)} grid points")
    for threads in dict.fromkeys((1, torch.get_num_threads())):
        torch.set_num_threads(threads)
        grid(), exact()
        times = [(seconds(grid), seconds(exact)) for _ in range(REPEATS)]
        slow, fast = (min(column) for column in zip(*times))
        print(
            f"{threads} thread(s): grid {slow * 1e3:.1f} ms, exact {fast * 1e3:.2f} ms, "
            f"{slow / fast:.0f} times faster (wanted: 50)"
        )
    curve = seen_unseen_curve(scores, targets, seen)
    best = max(gzsl_scores(scores, targets, seen, beta).HM for beta in betas)
    print(f"best HM: exact {curve.best_hm:.6f} at gamma {curve.gamma:.6f}, grid {best:.6f}")


if __name__ == "__main__":
    main()
