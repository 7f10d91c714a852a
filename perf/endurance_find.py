"""Exact search against an HNSW graph: milliseconds, recall, and what the graph costs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path


def find_among_many(arguments: argparse.Namespace, root: Path) -> None:
    """A table of numbers of moments."""
    import numpy as np
    import torch
    from usearch.index import Index

    from ezav.library.vectors import Vectors

    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(2000, arguments.dim, generator=draw)
    print("| moments | exact, ms | HNSW, ms | recall at 10 | to build, s | MiB of vectors |")
    print("|---|---|---|---|---|---|")
    count = arguments.moments
    while count <= arguments.most:
        which = torch.randint(len(centres), (count,), generator=draw)
        values = centres[which] + 0.7 * torch.randn(count, arguments.dim, generator=draw)
        values = torch.nn.functional.normalize(values, dim=1).half()
        kept = Vectors(torch.arange(count), torch.zeros(count, 2).double(), values)
        queries = [centres[n] + 0.7 * torch.randn(arguments.dim, generator=draw) for n in range(20)]
        kept.nearest(queries[0], 80)
        begun = time.perf_counter()
        exact = [kept.nearest(query, 80)[0][:10] for query in queries]
        slow = (time.perf_counter() - begun) / len(queries)
        begun = time.perf_counter()
        graph = Index(ndim=arguments.dim, metric="ip", dtype="f16")
        graph.add(np.arange(count), values.numpy(), threads=1)
        built = time.perf_counter() - begun
        begun = time.perf_counter()
        near = [graph.search(query.half().numpy(), 80).keys[:10].tolist() for query in queries]
        quick = (time.perf_counter() - begun) / len(queries)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, near)])
        size = values.numel() * 2 >> 20
        print(
            f"| {count:,} | {1000 * slow:.1f} | {1000 * quick:.2f} | {recall:.2f} | {built:.0f} "
            f"| {size} |",
            flush=True,
        )
        count *= 10
