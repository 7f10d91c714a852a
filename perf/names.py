"""Ten thousand typed names: what reading them costs, and placing them among trained classes.

    python perf/names.py [--names 10000] [--classes 32 276] [--rounds 3]

Names are made of ImageNet's labels and a few words before them. Reading is the default text
encoder, with the texts in batches as they come, in batches of one length (what it does), and the
same in bfloat16; beside them stand the operations of its network at the rate of one matrix product
of its size. Placing is `extend_class_embeddings` (only runs with optimised class embeddings need
it), once more with vectors that were moved by what rounding may do. All in turn on one thread, in
processor seconds, medians of `--rounds`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor

from ezav.classes import ClassEmbeddings, extend_class_embeddings, optimize_class_embeddings
from ezav.encoders.minilm_network import INNER, LAYERS, WIDTH
from ezav.encoders.registry import load_text, load_visual
from ezav.encoders.text import MiniLMText

BEFORE = ("", "sound of ", "two ", "cleaning the ", "a broken ", "view of a ", "playing with ")
MOVED = 100
"""Names whose vectors are moved a little, to see where they are placed then."""


def made_up(count: int) -> list[str]:
    """So many different names, in random order."""
    labels = load_visual("efficientnet").labels  # type: ignore[attr-defined]
    words = dict.fromkeys(one for label in labels for one in label.split(", "))
    names = [before + word for before in BEFORE for word in words]
    return random.Random(0).sample(names, min(count, len(names)))


def spent(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def product_rate() -> float:
    """Operations a processor second of a product of 1,500 pieces and one layer, float32."""
    pieces, weight = torch.randn(1500, WIDTH), torch.nn.Linear(WIDTH, INNER)
    with torch.inference_mode():
        weight(pieces)
        return 200 * 2 * 1500 * WIDTH * INNER / spent(lambda: [weight(pieces) for _ in range(200)])


def reading(names: list[str], rounds: int) -> None:
    text, half = load_text("minilm"), load_text("minilm", precision="bfloat16")
    assert isinstance(text, MiniLMText)
    alike = lambda self, lines: [0] * len(lines)  # noqa: E731

    def as_they_come() -> Tensor:
        with patch.object(MiniLMText, "_lengths", alike):
            return text.encode(names)

    work = {
        "as they come": as_they_come,
        "by length": lambda: text.encode(names),
        "by length, bfloat16": lambda: half.encode(names),
    }
    times: dict[str, list[float]] = {what: [] for what in work}
    rates = []
    for _ in range(rounds):
        rates.append(product_rate())
        for what, one in work.items():
            times[what].append(spent(one))
    pieces = sum(text._lengths(names)) + 2 * len(names)
    operations = pieces * LAYERS * 2 * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    floor = operations / statistics.median(rates)
    print(f"reading {len(names):,} names of {pieces / len(names):.1f} pieces with the marks")
    print(f"  {operations / 1e12:.2f} T operations at the rate of a product: {floor:.1f} s")
    for what, found in times.items():
        print(f"  {what}: {statistics.median(found):.1f} s")
    apart = float((as_they_come() - text.encode(names)).abs().max())
    print(f"  as they come a component differs from that by length by up to {apart:.0e}")
    exact, near = text.encode(names[:2000]), half.encode(names[:2000])
    order = (exact @ exact.T).fill_diagonal_(-1).argmax(1)
    same = (near @ near.T).fill_diagonal_(-1).argmax(1) == order
    worst = float((exact * near).sum(1).min())
    agreed = float(same.float().mean())
    print(f"  bfloat16: least cosine {worst:.5f}, the same nearest other name: {agreed:.1%}")


def placing(names: list[str], classes: int, rounds: int) -> None:
    vectors = load_text("minilm").encode(names)
    old = ClassEmbeddings(tuple(names[:classes]), vectors[:classes])
    new = ClassEmbeddings(tuple(names[classes:]), vectors[classes:])
    made = optimize_class_embeddings(old).embeddings
    extend_class_embeddings(new.select(new.names[:2]), old, made)
    found = [spent(lambda: extend_class_embeddings(new, old, made)) for _ in range(rounds)]
    each = statistics.median(found) / len(new)
    print(f"placing among {classes} classes: {1e3 * each:.2f} ms a name ({len(new):,} names)")
    some = new.select(new.names[:MOVED])
    placed = extend_class_embeddings(some, old, made).vectors
    for size in (1e-8, 1e-7):
        noise = size * torch.randn(some.vectors.shape, generator=torch.Generator().manual_seed(0))
        other = replace(some, vectors=some.vectors + noise)
        far = (extend_class_embeddings(other, old, made).vectors - placed).norm(dim=1)
        print(
            f"  each component of {len(some)} moved by about {size:.0e}: {int((far > 1e-3).sum())} "
            f"placed more than 0.001 away, the farthest {float(far.max()):.2g}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--classes", type=int, nargs="*", default=[32, 276])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = made_up(given.names)
    reading(names, given.rounds)
    for classes in given.classes:
        placing(names[: 1000 + classes], classes, given.rounds)


if __name__ == "__main__":
    main()
