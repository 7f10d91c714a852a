"""HM of every row as bars, published numbers marked apart."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ezav.recipes.published import PublishedResult
from ezav.reports.figures.style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    Panel,
    Picture,
    display_name,
    new_figure,
    styled,
)
from ezav.reports.published import Published
from ezav.reports.summary import SummaryRow, percent
from ezav.reports.tables import to_csv

_COLOURS = {"trained": BLUE, "frozen": GREEN, "shuffled": ORANGE}
_WORDS = {"trained": "trained", "frozen": "frozen baseline", "shuffled": "shuffled control"}


@styled
def comparison(rows: Sequence[SummaryRow], found: Published) -> Panel:
    """Bars of HM (%), one for each row of a table and each published row beside it.

    Published rows of another text alignment get no bar: they stand in the table below.
    """
    first, everything = rows[0], [*found.beside, *found.apart]
    metric = first.main_metric
    alt = f"Bar chart of {metric}: " + "; ".join(f"{r.label} {r.cell(metric)}" for r in rows)
    seeds = max(len(row.seeds) for row in rows)
    spread = "mean and standard deviation over seeds" if seeds > 1 else "one seed"
    caption = f"Test {metric} of the runs of this report on {first.where.title} ({spread})."
    if found.beside:
        caption += (
            " Hatched: published numbers of the same data set and setting, not measured here; "
            "a question mark where the paper's text alignment is unknown."
        )
    if found.apart:
        caption += (
            " The other published numbers were made with another text alignment (see the table) "
            "and are not comparable bar by bar."
        )
    return Panel(
        key="comparison",
        title="Comparison by harmonic mean" if metric == "HM" else "Comparison by recall",
        caption=caption,
        pictures=(Picture("comparison", _bars(rows, found.beside), alt),),
        csv={"comparison": _csv(rows, everything)},
        half=True,
        table=_table(everything),
        table_title="Published numbers of this data set and setting (%), not measured here",
        folded=True,
    )


def _bars(rows: Sequence[SummaryRow], published: Sequence[PublishedResult]) -> Figure:
    first, count = rows[0], len(rows) + len(published)
    metric = first.main_metric
    chance = getattr(first.chance, metric)
    figure = new_figure(COLUMN, 1.25 + 0.33 * count, first.where.simulated)
    axes = figure.subplots()
    places = range(count)
    for place, row in zip(places, rows):
        error = None if row.sd is None else 100 * row.sd[metric]
        value = 100 * row.mean[metric]
        axes.barh(place, value, height=0.7, color=_COLOURS[row.kind])
        if error is not None:
            axes.errorbar(value, place, xerr=error, color=BLACK, capsize=2.5, lw=1)
        _number(axes, value + (error or 0), place, row.cell(metric))
    for place, other in zip(places[len(rows) :], published):
        value = 100 * other.HM
        axes.barh(place, value, height=0.7, color="white", edgecolor=GREY, hatch="////", lw=0.8)
        _number(axes, value, place, f"{value:.1f}")
    axes.axvline(100 * chance, color=BLACK, ls=":", lw=1.2)
    if published:
        axes.axhline(len(rows) - 0.5, color=GREY, lw=0.8)
    names = [display_name(row.label) for row in rows]
    axes.set_yticks(places, names + [_published_name(other) for other in published])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    spreads = [row.mean[metric] + (row.sd[metric] if row.sd else 0.0) for row in rows]
    longest = 100 * max([*spreads, *(other.HM for other in published), chance])
    axes.set_xlim(0, max(longest * 1.35, 1))  # room for the numbers
    axes.set_xlabel(f"{metric} on the test split (%)")
    kinds = dict.fromkeys(row.kind for row in rows)
    handles: list[object] = [Patch(color=_COLOURS[kind], label=_WORDS[kind]) for kind in kinds]
    if published:
        hatched = Patch(facecolor="white", edgecolor=GREY, hatch="////", label="published")
        handles.append(hatched)
    handles += axes.plot([], [], color=BLACK, ls=":", label="chance")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _csv(rows: Sequence[SummaryRow], published: Sequence[PublishedResult]) -> str:
    metric = rows[0].main_metric
    spread = [f"{metric}_mean", f"{metric}_sd"]
    head = ["label", "kind", "seeds", *spread, "text_alignment", "source"]
    table: list[list[object]] = [list(head)]
    for row in rows:
        hm = [row.mean[metric], "" if row.sd is None else row.sd[metric]]
        alignment = row.where.text_alignment
        table.append([row.label, row.kind, len(row.seeds), *hm, alignment, "this report"])
    for other in published:
        hm = [other.HM, ""]
        table.append([other.method, "published", "", *hm, other.text_alignment, other.source])
    table.append(["chance", "chance", "", getattr(rows[0].chance, metric), "", "", "computed"])
    return to_csv(table)


def _table(published: Sequence[PublishedResult]) -> list[list[str]]:
    if not published:
        return []
    words = {"by_name": "by name", "published": "permuted", "unknown": "unknown"}
    table = [["method", "S", "U", "HM", "ZSL", "text alignment", "source"]]
    for row in published:
        numbers = ["–" if v is None else percent(v) for v in (row.S, row.U, row.HM, row.ZSL)]
        name = row.method + (" (temporal)" if row.temporal else "")
        table.append([name, *numbers, words[row.text_alignment], row.source])
    return table


def _published_name(row: PublishedResult) -> str:
    name = row.method + (" (temporal)" if row.temporal else "")
    return display_name(name + (" ?" if row.text_alignment == "unknown" else ""))


def _number(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
