"""Where `ezav classes` gets class embeddings from, and how it prints and draws them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ezav.cli.common import output, read_names
from ezav.errors import EzavError, NotFoundError
from ezav.naming import shown

if TYPE_CHECKING:
    from ezav.classes import ClassEmbeddings, Diagnostics, TradeoffPoint
    from ezav.classes.diagnostics import Pair
    from ezav.reports.figures.style import Picture

_VECTOR_FILES = (".npy", ".safetensors")


def load_source(source: Path, encoder: str | None = None) -> ClassEmbeddings:
    """Class embeddings of a store, a file of vectors, or a file of names.

    Raises:
        NotFoundError: there is no such file.
        EzavError: it is none of the three, or a text encoder is named for vectors.
    """
    from ezav.classes import ClassEmbeddings

    if source.is_dir():
        from ezav.features.store import FeatureStore

        return FeatureStore.open(source).class_embeddings(encoder)
    if not source.is_file():
        hint = "give a store, a vector file or a name file"
        raise NotFoundError(f"'{source}' does not exist", hint)
    if source.suffix in _VECTOR_FILES:
        if encoder is not None:
            raise EzavError(
                f"--encoder has no effect on '{source.name}', which holds vectors", "leave it out"
            )
        return ClassEmbeddings.load(source)
    return encode_names(read_names(source), encoder)


def encode_names(names: Sequence[str], encoder: str | None = None) -> ClassEmbeddings:
    """Class names through a text encoder (default minilm)."""
    from ezav.classes import ClassEmbeddings
    from ezav.encoders.legible import unread
    from ezav.encoders.names import readable_names
    from ezav.encoders.text import load_text_encoder

    text = load_text_encoder(encoder or "minilm")
    label = f"{text.card.name}@{text.card.revision}"
    found = unread(text, names)
    settings: dict[str, object] = {"identity": text.card.identity} if text.card.identity else {}
    if found:
        settings["unread"] = found
    return ClassEmbeddings(tuple(names), text.encode(readable_names(names)), label, settings)


def write_pictures(pictures: Iterable[Picture], folder: Path | None) -> tuple[Path, ...]:
    """Write pictures where a folder is given; returns their files."""
    if folder is None:
        return ()
    return tuple(path for picture in pictures for path in picture.write(folder))


def show_diagnostics(columns: Mapping[str, Diagnostics], compared: bool = True) -> None:
    """Diagnostics side by side.

    Args:
        columns: heading -> measures.
        compared: with the measures against the text embeddings.
    """
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
        values = [getattr(column, key) for column in columns.values()]
        table.add_row(label, *("–" if value is None else form.format(value) for value in values))
    output.print(table)


def show_closest(title: str, pairs: Sequence[Pair]) -> None:
    """The most confusable pairs."""
    if not pairs:
        return
    output.print(f"closest pairs, {title}:")
    for pair in pairs:
        names = f"{shown(pair.first)} / {shown(pair.second)}"
        output.print(Text(f"  {pair.distance:.3f}  {names}"))


def csv_of(points: Sequence[TradeoffPoint]) -> str:
    """The curve as CSV, one row a setting."""
    rows = [point.to_dict() for point in points]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_points(points: Sequence[TradeoffPoint], chosen: tuple[float, float]) -> None:
    """The curve as a table, its chosen (alpha, margin) marked."""
    from rich.table import Table

    table = Table(box=None)
    for heading in ("margin", "α", "nearest min", "mean", "orderings kept", "Spearman", "cos"):
        table.add_column(heading, justify="right")
    for point in points:
        recipe, found = point.recipe, point.diagnostics
        raw = recipe.source == "raw"
        mark = " *" if (recipe.alpha, recipe.margin) == chosen else ""
        cosine = "–" if found.cosine_mean is None else f"{found.cosine_mean:.3f}"
        table.add_row(
            "text" if raw else f"{recipe.margin:g}",
            "" if raw else f"{recipe.alpha:g}{mark}",
            f"{found.min_nearest:.3f}",
            f"{found.mean_nearest:.3f}",
            f"{found.orderings_kept:.1%}",
            f"{found.spearman_mean:.3f}",
            cosine,
        )
    output.print(table)
    bound = points[0].diagnostics.simplex_bound
    output.print(f"* chosen; nearest-class distance is {bound:.3f} at most")
