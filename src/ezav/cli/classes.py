"""Class embeddings: spread the classes apart and keep what their names mean.

SOURCE is a feature store (a folder), a file of vectors (`.safetensors`, or a published `.npy`
dictionary), or a text file with one class name a line; `--names` gives names directly. Names are
turned into vectors by `--encoder`. `optimize` writes optimised embeddings; `inspect` measures
embeddings; `tradeoff` draws the curve to choose a setting by.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.text import Text

from ezav.cli.common import Command, output, progress
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.classes import ClassEmbeddings

_VECTOR_FILES = (".npy", ".safetensors")


@dataclass(kw_only=True)
class _OnClasses(Command):
    """What the three share: where class embeddings come from, and where figures go."""

    source: Annotated[Path | None, tyro.conf.Positional] = None
    """A feature store, a `.safetensors` or `.npy` file of vectors, or a file of class names."""
    names: list[str] = field(default_factory=list)
    """Class names, instead of a source."""
    encoder: str | None = None
    """The text encoder: for names default minilm, for a store default its first."""
    figures: Path | None = None
    """A folder to write figures to (SVG)."""

    def _load(self) -> ClassEmbeddings:
        if (self.source is None) == (not self.names):
            raise EzavError("give a SOURCE or --names, one of the two")
        if self.source is None:
            return encode_names(self.names, self.encoder)
        return load_source(self.source, self.encoder)


def load_source(source: Path, encoder: str | None = None) -> ClassEmbeddings:
    """Class embeddings of a store, a file of vectors, or a file of names.

    Raises:
        EzavError: there is no such file, or it is none of the three.
    """
    from ezav.classes import ClassEmbeddings

    if source.is_dir():
        from ezav.features.store import FeatureStore

        return FeatureStore.open(source).class_embeddings(encoder)
    if not source.is_file():
        raise EzavError(f"'{source}' does not exist", "give a store, a vector file or a name file")
    if source.suffix in _VECTOR_FILES:
        if encoder is not None:
            raise EzavError(
                f"--encoder has no effect on '{source.name}', which holds vectors", "leave it out"
            )
        return ClassEmbeddings.load(source)
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise EzavError(
            f"'{source}' is not a text file of class names",
            "vectors come in .safetensors or .npy files",
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise EzavError(f"'{source}' holds no class names", "write one a line")
    return encode_names(names, encoder)


def encode_names(names: Sequence[str], encoder: str | None = None) -> ClassEmbeddings:
    """Class names through a text encoder (default minilm)."""
    from ezav.classes import ClassEmbeddings
    from ezav.encoders.text import load_text_encoder

    text = load_text_encoder(encoder or "minilm")
    label = f"{text.card.name}@{text.card.revision}"
    return ClassEmbeddings(tuple(names), text.encode(list(names)), label)


@dataclass(kw_only=True)
class Optimize(_OnClasses):
    """Optimise class embeddings (CEO, equation 4) and write them, with diagnostics."""

    out: Path = Path("class_embeddings.safetensors")
    """Where to write the optimised embeddings."""
    alpha: float = 0.5
    """The weight of separation against semantics, 0 to 1."""
    margin: float = 0.1
    """The margin of the ranking loss, a distance."""
    semantic: Literal["ranking", "proximity"] = "ranking"
    """Keep the order of distances (equation 3), or stay close to the text (equation 2)."""
    ranking: Literal["exact", "sampled"] = "exact"
    """All triplets at every step, or random ones."""
    reduction: Literal["balanced", "mean", "sum"] = "balanced"
    """How the terms are scaled: each by its own range, as means, or as sums."""
    center: bool = False
    """Take the mean of the classes off the text embeddings first."""
    max_steps: int = 3_000
    """Give up after so many steps (status 1, the file is written nevertheless)."""
    seed: int = 0
    """For sampled triplets and classes with one and the same vector."""
    device: str = "cpu"
    """Where to work: cpu, cuda, or auto."""

    def run(self) -> dict[str, Any]:
        from ezav.classes import NotConverged, diagnose, optimize_class_embeddings

        text = self._load()
        classes = "1 class" if len(text) == 1 else f"{len(text)} classes"
        progress.print(f"optimising {classes}, dimension {text.dim}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConverged)  # said below, in the result
            done = optimize_class_embeddings(
                text,
                alpha=self.alpha,
                margin=self.margin,
                semantic=self.semantic,
                ranking=self.ranking,
                reduction=self.reduction,
                center=self.center,
                max_steps=self.max_steps,
                seed=self.seed,
                device=self.device,
            )
        done.save(self.out)
        if not done.converged:
            progress.print(Text("not converged:", "yellow"), done.reason)
        return {
            "status": 0 if done.converged else 1,
            "out": str(self.out),
            "encoder": text.encoder,
            "converged": done.converged,
            "reason": done.reason,
            "steps": done.steps,
            "seconds": done.seconds,
            "before": diagnose(text).to_dict(),
            "after": done.diagnostics.to_dict(),
            "figures": write_pair_figures(text, done.embeddings, self.figures),
        }

    def show(self, result: dict[str, Any]) -> None:
        show_diagnostics({"text": result["before"], "optimised": result["after"]})
        show_closest("text", result["before"]["closest"])
        show_closest("optimised", result["after"]["closest"])
        word = "converged" if result["converged"] else "NOT converged"
        output.print(f"{word} after {result['steps']} steps ({result['seconds']:.1f} s)")
        output.print(f"written: {', '.join([result['out'], *result['figures']])}")


@dataclass(kw_only=True)
class Inspect(_OnClasses):
    """Measure class embeddings, alone or against the text embeddings they were made from."""

    text: Path | None = None
    """The text embeddings to compare with: a store or a file of vectors."""
    pairs: int = 10
    """How many of the most confusable pairs to list."""

    def run(self) -> dict[str, Any]:
        from ezav.classes import diagnose

        found = self._load()
        figures: list[str] = []
        reference = None if self.text is None else load_source(self.text)
        if reference is not None:
            reference = reference.select(found.names)
            figures = write_pair_figures(reference, found, self.figures)
        elif self.figures is not None:
            raise EzavError("figures compare two sets of embeddings", "give the other with --text")
        return {
            "encoder": found.encoder,
            "settings": found.settings,
            "compared": reference is not None,
            "embeddings": diagnose(found, reference, pairs=self.pairs).to_dict(),
            "text": None if reference is None else diagnose(reference, pairs=self.pairs).to_dict(),
            "figures": figures,
        }

    def show(self, result: dict[str, Any]) -> None:
        columns = {"text": result["text"]} if result["compared"] else {}
        columns["embeddings"] = result["embeddings"]
        output.print(f"text encoder: {result['encoder']}")
        show_diagnostics(columns, compared=result["compared"])
        show_closest("embeddings", result["embeddings"]["closest"])
        if result["figures"]:
            output.print(f"written: {', '.join(result['figures'])}")


@dataclass(kw_only=True)
class Tradeoff(_OnClasses):
    """Optimise over a grid of α and margins: separation against semantics, as table and curve."""

    alphas: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
    """Weights of separation."""
    margins: list[float] = field(default_factory=lambda: [0.02, 0.05, 0.1])
    """Margins."""
    center: bool = False
    """Take the mean of the classes off the text embeddings first."""
    chosen_alpha: float = 0.5
    """The point to ring in the figure."""
    chosen_margin: float = 0.1
    """The point to ring in the figure."""

    def run(self) -> dict[str, Any]:
        from ezav.classes import ClassEmbeddingRecipe, TradeoffPoint, tradeoff

        text = self._load()
        chosen = ClassEmbeddingRecipe(
            alpha=self.chosen_alpha, margin=self.chosen_margin, center=self.center
        )
        recipes = chosen.candidates(self.alphas, self.margins)
        if chosen not in recipes:
            recipes.append(chosen)

        def tell(point: TradeoffPoint) -> None:
            recipe = point.recipe
            label = "text" if recipe.source == "raw" else f"α {recipe.alpha} m {recipe.margin}"
            progress.print(f"{label}: kept {point.diagnostics.orderings_kept:.1%}")

        points = tradeoff(text, recipes, on_point=tell)
        figures = []
        if self.figures is not None:
            from ezav.classes.figures import save_figure, tradeoff_figure

            figures = [save_figure(tradeoff_figure(points, chosen), self.figures / "tradeoff.svg")]
        return {
            "encoder": text.encoder,
            "classes": len(text),
            "dim": text.dim,
            "chosen": {"alpha": chosen.alpha, "margin": chosen.margin},
            "points": [point.to_dict() for point in points],
            "figures": [str(path) for path in figures],
        }

    def show(self, result: dict[str, Any]) -> None:
        from rich.table import Table

        table = Table(box=None)
        for heading in ("margin", "α", "nearest min", "mean", "orderings kept", "Spearman", "cos"):
            table.add_column(heading, justify="right")
        for p in result["points"]:
            raw = p["source"] == "raw"
            mark = {"alpha": p["alpha"], "margin": p["margin"]} == result["chosen"] and not raw
            table.add_row(
                "text" if raw else f"{p['margin']:g}",
                "" if raw else f"{p['alpha']:g}" + (" *" if mark else ""),
                f"{p['min_nearest']:.3f}",
                f"{p['mean_nearest']:.3f}",
                f"{p['orderings_kept']:.1%}",
                f"{p['spearman_mean']:.3f}",
                f"{p['cosine_mean']:.3f}",
            )
        output.print(table)
        bound = result["points"][0]["simplex_bound"]
        output.print(f"* chosen; nearest-class distance is {bound:.3f} at most")
        if result["figures"]:
            output.print(f"written: {', '.join(result['figures'])}")


def write_pair_figures(
    text: ClassEmbeddings, made: ClassEmbeddings, folder: Path | None
) -> list[str]:
    """Similarity matrices and nearest-class histograms, where a folder is given."""
    if folder is None:
        return []
    from ezav.classes.figures import nearest_figure, save_figure, similarity_figure

    return [
        str(save_figure(similarity_figure(text, made), folder / "similarity.png")),
        str(save_figure(nearest_figure(text, made), folder / "nearest.svg")),
    ]


def show_diagnostics(columns: dict[str, dict[str, Any]], compared: bool = True) -> None:
    """Diagnostics side by side."""
    from rich.table import Table

    table = Table("", *columns, box=None)
    rows = [
        ("distance to the nearest class, least", "min_nearest", "{:.3f}"),
        ("… mean", "mean_nearest", "{:.3f}"),
        ("… best possible (simplex bound)", "simplex_bound", "{:.3f}"),
        ("mean cosine of all pairs", "mean_cosine", "{:.3f}"),
    ]
    if compared:
        rows += [
            ("triplet orderings of the text kept", "orderings_kept", "{:.1%}"),
            ("rank correlation an anchor, mean", "spearman_mean", "{:.3f}"),
            ("… least", "spearman_min", "{:.3f}"),
            ("cosine to the text, mean", "cosine_mean", "{:.3f}"),
            ("… least", "cosine_min", "{:.3f}"),
        ]
    for label, key, form in rows:
        values = [column[key] for column in columns.values()]
        table.add_row(label, *("–" if value is None else form.format(value) for value in values))
    output.print(table)


def show_closest(title: str, pairs: Sequence[dict[str, Any]]) -> None:
    """The most confusable pairs."""
    if not pairs:
        return
    output.print(f"closest pairs, {title}:")
    for pair in pairs:
        output.print(f"  {pair['distance']:.3f}  {pair['first']} / {pair['second']}")


CLI = (
    Annotated[Optimize, tyro.conf.subcommand("optimize")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Tradeoff, tyro.conf.subcommand("tradeoff")]
)
