"""Class embeddings: spread the classes apart and keep what their names mean.

SOURCE is a feature store (a folder), a file of vectors (`.safetensors`, or a published `.npy`
dictionary), or a text file with one class name a line; `--names` gives names directly. Names are
turned into vectors by `--encoder`. `optimize` writes optimised embeddings; `inspect` measures
embeddings; `tradeoff` draws the curve to choose a setting by.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.text import Text

from ezav.classes.diagnostics import Diagnostics
from ezav.classes.settings import CeoSettings
from ezav.classes.tradeoff import ALPHAS, MARGINS, TradeoffPoint
from ezav.cli.class_embeddings import (
    csv_of,
    encode_names,
    load_source,
    show_closest,
    show_diagnostics,
    show_points,
    write_pictures,
)
from ezav.cli.common import Command, output, progress, tell_remarks
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.classes import ClassEmbeddings


@dataclass(kw_only=True)
class _OnClasses(Command):
    """What the three share: where class embeddings come from, and where figures go."""

    source: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = None
    """Start from a feature store, a `.safetensors` or `.npy` file of vectors, or a file of class
    names."""
    names: list[str] = field(default_factory=list)
    """Use these class names instead of a source."""
    encoder: str | None = None
    """Use this text encoder; for names by default minilm, for a store its first."""
    figures: Path | None = None
    """Write figures into this folder (SVG and PNG)."""

    def _load(self) -> ClassEmbeddings:
        if (self.source is None) == (not self.names):
            raise EzavError("give a SOURCE or --names, one of the two")
        if self.source is None:
            return encode_names(self.names, self.encoder)
        return load_source(self.source, self.encoder)

    @staticmethod
    def _remarks(text: ClassEmbeddings) -> tuple[str, ...]:
        """What is to be told of the names, told."""
        from ezav.features.unread import remarks_of

        remarks = tuple(remarks_of(text))
        tell_remarks(remarks)
        return remarks


@dataclass(frozen=True, kw_only=True)
class OptimizeResult:
    """Optimised class embeddings: where they are, and what was gained at what cost.

    Attributes:
        out: the file of the optimised embeddings.
        encoder: the text encoder of the source.
        converged, reason: whether and why the optimization ended at its goal.
        steps, seconds: how long it took.
        before, after: measures of the text embeddings and of the optimised ones.
        remarks: what the text encoder cannot read of the names, or not tell apart.
        figures: files of the figures.
    """

    out: Path
    encoder: str
    converged: bool
    reason: str
    steps: int
    seconds: float
    before: Diagnostics
    after: Diagnostics
    remarks: tuple[str, ...]
    figures: tuple[Path, ...]

    @property
    def status(self) -> int:
        """1 where the optimization did not converge."""
        return 0 if self.converged else 1


@dataclass(kw_only=True)
class Optimize(_OnClasses):
    """Optimise class embeddings (CEO, equation 4) and write them, with diagnostics."""

    out: Path = Path("class_embeddings.safetensors")
    """Write the optimised embeddings to this file."""
    settings: Annotated[CeoSettings, tyro.conf.arg(name="")] = field(default_factory=CeoSettings)
    """What is minimised, and how. Where it has not converged, the status is 1 and the file is
    written nevertheless."""
    seed: int = 0
    """Seed the draw of triplets, and of what parts classes with one and the same vector."""
    device: str = "cpu"
    """Work on this device: cpu, cuda, or auto."""

    def run(self) -> OptimizeResult:
        from ezav.classes import NotConverged, diagnose, optimize_class_embeddings
        from ezav.classes.embeddings import check_suffix
        from ezav.reports.figures.embeddings import pair_pictures
        from ezav.safe_io import check_writable

        check_suffix(self.out)
        text = self._load()
        check_writable(self.out)
        classes = "1 class" if len(text) == 1 else f"{len(text)} classes"
        progress.print(f"optimising {classes}, dimension {text.dim}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConverged)  # said below, in the result
            done = optimize_class_embeddings(
                text, self.settings, seed=self.seed, device=self.device
            )
        done.save(self.out)
        if not done.converged:
            progress.print(Text("not converged:", "yellow"), done.reason)
        pictures = pair_pictures(text, done.embeddings) if self.figures else ()
        return OptimizeResult(
            out=self.out,
            encoder=text.encoder,
            converged=done.converged,
            reason=done.reason,
            steps=done.steps,
            seconds=done.seconds,
            before=diagnose(text),
            after=done.diagnostics,
            remarks=self._remarks(text),
            figures=write_pictures(pictures, self.figures),
        )

    def show(self, result: OptimizeResult) -> None:
        show_diagnostics({"text": result.before, "optimised": result.after})
        show_closest("text", result.before.closest)
        show_closest("optimised", result.after.closest)
        word = "converged" if result.converged else "NOT converged"
        output.print(f"{word} after {result.steps} steps ({result.seconds:.1f} s)")
        output.print(f"written: {', '.join(map(str, (result.out, *result.figures)))}")


@dataclass(frozen=True, kw_only=True)
class InspectResult:
    """Measures of class embeddings, and of the text embeddings they were made from.

    Attributes:
        encoder: the text encoder.
        settings: how the embeddings were made.
        compared: text embeddings were given.
        embeddings: measures of the embeddings.
        text: measures of the text embeddings; None where none were given.
        remarks: what the text encoder cannot read of the names, or not tell apart.
        figures: files of the figures.
    """

    encoder: str
    settings: dict[str, Any]
    compared: bool
    embeddings: Diagnostics
    text: Diagnostics | None
    remarks: tuple[str, ...]
    figures: tuple[Path, ...]


@dataclass(kw_only=True)
class Inspect(_OnClasses):
    """Measure class embeddings, alone or against the text embeddings they were made from."""

    text: Path | None = None
    """Compare with these text embeddings: a store or a file of vectors."""
    pairs: int = 10
    """List so many of the most confusable pairs."""

    def run(self) -> InspectResult:
        from ezav.classes import diagnose
        from ezav.reports.figures.embeddings import pair_pictures

        if self.text is None and self.figures is not None:
            raise EzavError("figures compare two sets of embeddings", "give the other with --text")
        found = self._load()
        reference = None if self.text is None else load_source(self.text).select(found.names)
        pictures = pair_pictures(reference, found) if reference and self.figures else ()
        return InspectResult(
            encoder=found.encoder,
            settings=found.settings,
            compared=reference is not None,
            embeddings=diagnose(found, reference, pairs=self.pairs),
            text=None if reference is None else diagnose(reference, pairs=self.pairs),
            remarks=self._remarks(found if reference is None else reference),
            figures=write_pictures(pictures, self.figures),
        )

    def show(self, result: InspectResult) -> None:
        columns = {} if result.text is None else {"text": result.text}
        columns["embeddings"] = result.embeddings
        output.print(f"text encoder: {result.encoder}")
        show_diagnostics(columns, compared=result.compared)
        show_closest("embeddings", result.embeddings.closest)
        if result.figures:
            output.print(f"written: {', '.join(map(str, result.figures))}")


@dataclass(frozen=True)
class Chosen:
    """The setting that the figure rings."""

    alpha: float
    margin: float


@dataclass(frozen=True, kw_only=True)
class TradeoffResult:
    """Separation against semantics over a grid.

    Attributes:
        encoder: the text encoder.
        classes, dim: how many, and of which dimension.
        chosen: the setting to compare with.
        points: the text embeddings, then each setting.
        figures: files of the figures.
        out: the curve as CSV; None where none was written.
    """

    encoder: str
    classes: int
    dim: int
    chosen: Chosen
    points: tuple[TradeoffPoint, ...]
    figures: tuple[Path, ...]
    out: Path | None = None


@dataclass(kw_only=True)
class Tradeoff(_OnClasses):
    """Optimise over a grid of α and margins: separation against semantics, as table and curve."""

    alphas: tuple[float, ...] = ALPHAS
    """Try these weights of separation."""
    margins: tuple[float, ...] = MARGINS
    """Try these margins."""
    center: bool = False
    """Take the mean of the classes off the text embeddings first."""
    chosen_alpha: float = 0.5
    """Ring the point of this alpha in the figure."""
    chosen_margin: float = 0.1
    """Ring the point of this margin in the figure."""
    out: Path | None = None
    """Write the curve to this CSV file."""

    def run(self) -> TradeoffResult:
        from ezav.classes import ClassEmbeddingRecipe, tradeoff
        from ezav.reports.figures.embeddings import tradeoff_picture
        from ezav.safe_io import check_writable, write_text

        if self.out is not None:
            if self.out.suffix.lower() != ".csv":
                raise EzavError(f"the curve is CSV, not '{self.out}'", "end its name in .csv")
            check_writable(self.out)
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
        pictures = [tradeoff_picture(points, chosen)] if self.figures else []
        if self.out is not None:
            write_text(self.out, csv_of(points))
        return TradeoffResult(
            encoder=text.encoder,
            classes=len(text),
            dim=text.dim,
            chosen=Chosen(chosen.alpha, chosen.margin),
            points=tuple(points),
            figures=write_pictures(pictures, self.figures),
            out=self.out,
        )

    def show(self, result: TradeoffResult) -> None:
        show_points(result.points, (result.chosen.alpha, result.chosen.margin))
        written = [*result.figures, *([] if result.out is None else [result.out])]
        if written:
            output.print(f"written: {', '.join(map(str, written))}")


CLI = (
    Annotated[Optimize, tyro.conf.subcommand("optimize")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Tradeoff, tyro.conf.subcommand("tradeoff")]
)
