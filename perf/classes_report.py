"""The tables and figures of docs/measurements/class-embeddings.md, from published text embeddings.

    python perf/classes_report.py [--figures docs/figures/class-embeddings]

Prints Markdown: the diagnostics of all seven files and their most confusable pairs, before and
after. Writes the figures of UCF word2vec and VGGSound CLIP. About two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from class_embeddings import FILES, _default_text
from ezav.classes import (
    ClassEmbeddingRecipe,
    ClassEmbeddings,
    Diagnostics,
    diagnose,
    optimize_class_embeddings,
    tradeoff,
)
from ezav.classes.tradeoff import ALPHAS, MARGINS
from ezav.reports.figures.embeddings import pair_pictures, tradeoff_picture
from ezav.safe_io import write_text

WITH_FIGURES = {"UCF word2vec": "ucf-word2vec", "VGGSound CLIP": "vggsound-clip"}
REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="tables and figures of class embeddings")
    parser.add_argument("--text", type=Path, default=_default_text())
    parser.add_argument(
        "--figures", type=Path, default=REPOSITORY / "docs" / "figures" / "class-embeddings"
    )
    arguments = parser.parse_args()
    every = {name: ClassEmbeddings.load(arguments.text / file) for name, file in FILES.items()}
    diagnostics_table(every)
    closest_pairs_table(every)
    figures(every, arguments.figures)


def diagnostics_table(every: dict[str, ClassEmbeddings]) -> None:
    columns = (
        "text embeddings", "C", "d", "bound", "nearest min", "nearest mean", "mean cosine",
        "orderings kept", "Spearman", "cosine to text", "steps",
    )  # fmt: skip
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name, text in every.items():
        before = diagnose(text)
        done = optimize_class_embeddings(text)
        after = done.diagnostics

        def both(field: str, b: Diagnostics = before, a: Diagnostics = after) -> str:
            return f"{getattr(b, field):.2f} → {getattr(a, field):.2f}"

        print(
            f"| {name} | {before.classes} | {before.dim} | {before.simplex_bound:.3f} "
            f"| {both('min_nearest')} | {both('mean_nearest')} | {both('mean_cosine')} "
            f"| {after.orderings_kept:.1%} | {after.spearman_mean:.3f} | {after.cosine_mean:.2f} "
            f"| {done.steps} |",
            flush=True,
        )
    print()


def figures(every: dict[str, ClassEmbeddings], folder: Path) -> None:
    for name, stem in WITH_FIGURES.items():
        text, chosen = every[name], ClassEmbeddingRecipe()
        made = chosen.prepare(text)
        points = tradeoff(text, chosen.candidates(ALPHAS, MARGINS))
        for picture in (*pair_pictures(text, made), tradeoff_picture(points, chosen)):
            if picture.name.startswith("similarity"):  # pixels
                (folder / f"{picture.name}-{stem}.png").write_bytes(picture.png())
            else:
                write_text(folder / f"{picture.name}-{stem}.svg", picture.svg)


def closest_pairs_table(every: dict[str, ClassEmbeddings]) -> None:
    """The most confusable pairs of each file, with their distance before and after."""
    print("| text embeddings | the closest pairs, before → after |\n|---|---|")
    for name, text in every.items():
        made = ClassEmbeddingRecipe().prepare(text)
        cells = []
        for pair in diagnose(text, pairs=3).closest:
            first, second = made.select([pair.first, pair.second]).vectors
            after = float((first - second).norm())
            cells.append(f"{pair.first} / {pair.second} {pair.distance:.2f} → {after:.2f}")
        print(f"| {name} | {'; '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
