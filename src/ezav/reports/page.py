"""One self-contained HTML page: escaped text, inline pictures, no network, no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from string import Template

import ezav
from ezav.features.simulated import SIMULATED, simulated_banner
from ezav.naming import as_html
from ezav.reports.figures.style import Card, Panel, Picture, printable
from ezav.reports.summary import METRICS, SummaryRow, notes, percent

_NUMBER = re.compile(r"[-–]?[\d.,e+-]*|\d+ of \d+")
_PAIRED = 8.6
"""Pictures up to so many inches wide stay legible side by side."""
_KINDS = {"trained": "", "frozen": "frozen baseline", "shuffled": "shuffled control"}


@dataclass(frozen=True)
class Section:
    """The results of one data set, setting and text alignment.

    Attributes:
        title: heading.
        key: unique prefix of ids on the page.
        rows: of the headline table.
        panels: figures, in order.
        said: what was reached, in sentences.
        protocol: how the numbers came about, in one paragraph.
        runs: header and rows of the table of runs.
        facts: name -> value: versions, fingerprints, encoders.
    """

    title: str
    key: str
    rows: Sequence[SummaryRow]
    panels: Sequence[Panel]
    protocol: str
    runs: Sequence[Sequence[str]]
    facts: dict[str, str]
    said: Sequence[str] = ()

    @property
    def simulated(self) -> bool:
        """The features are random numbers of the right shape."""
        return any(row.where.simulated for row in self.rows)


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The page as text; every value is escaped here and nowhere else."""
    template = resources.files("ezav.reports").joinpath("template.html")
    simulated = [section.title for section in sections if section.simulated]
    where = "" if len(simulated) == len(sections) else ", ".join(simulated)
    banner = f'<p class="simulated">{_text(simulated_banner(where))}</p>' if simulated else ""
    return Template(template.read_text(encoding="utf-8")).substitute(
        version=_text(ezav.__version__),
        title=_text(title),
        lead=_text(lead),
        banner=banner,
        contents=_contents(sections),
        body="\n".join(_section(section) for section in sections),
        footer=f"Written by ezav {_text(ezav.__version__)} from stored results; figures were "
        "drawn from the scores in the run folders, no model was run.",
    )


def _contents(sections: Sequence[Section]) -> str:
    links = []
    for section in sections:
        if len(sections) > 1:
            title = f"<b>{_text(section.title)}</b>"
            links.append(f'<li class="section"><a href="#{section.key}">{title}</a></li>')
        links += [
            f'<li><a href="#{section.key}-{panel.key}">{_text(panel.title)}</a></li>'
            for panel in section.panels
        ]
        links.append(f'<li><a href="#{section.key}-protocol">Protocol and versions</a></li>')
    return f"<nav><ul>{''.join(links)}</ul></nav>"


def _section(section: Section) -> str:
    mark = f'<span class="mark">{SIMULATED}</span>' if section.simulated else ""
    parts = [f'<section id="{section.key}"><h2>{_text(section.title)}{mark}</h2>']
    parts.append(_verdict(section.said) + _headline(section))
    for half, panels in groupby(section.panels, key=lambda panel: panel.half):
        kind = ' class="halves"' if half else ""
        parts.append(f"<div{kind}>{''.join(_panel(panel, section) for panel in panels)}</div>")
    parts.append(f'<h3 id="{section.key}-protocol">Protocol and versions</h3>')
    parts.append(f"<p>{_text(section.protocol)}</p>")
    parts.append(_table(section.runs))
    facts = [["", ""], *([name, value] for name, value in section.facts.items())]
    parts.append(_table(facts, head=False))
    parts.append("</section>")
    return "\n".join(parts)


def _verdict(said: Sequence[str]) -> str:
    """What was reached, in words, before any number."""
    good = "".join(f"<p>{_text(line)}</p>" for line in said if not line.startswith("NO BETTER"))
    bad = "".join(
        f'<p class="note">{_text(line)}</p>' for line in said if line.startswith("NO BETTER")
    )
    return (f'<div class="verdict">{good}</div>' if good else "") + bad


def _headline(section: Section) -> str:
    rows = section.rows
    head = "".join(f'<th class="n" scope="col">{metric}</th>' for metric in METRICS)
    best = max((row for row in rows), key=lambda row: row.mean[row.main_metric])
    lines = []
    for row in rows:
        kind = f'<span class="kind">{_KINDS[row.kind]}</span>' if _KINDS[row.kind] else ""
        first = ' class="first"' if row is best else ""
        cells = "".join(f'<td class="n">{_cell(row, metric)}</td>' for metric in METRICS)
        lines.append(
            f"<tr><td{first}>{_text(row.label)}{kind}</td>"
            f'<td class="n">{len(row.seeds)}</td>{cells}</tr>'
        )
    chance = "".join(f'<td class="n">{percent(getattr(rows[0].chance, m))}</td>' for m in METRICS)
    lines.append(f'<tr class="chance"><td>chance</td><td class="n"></td>{chance}</tr>')
    warnings = "".join(f'<p class="note">{_text(note)}</p>' for note in notes(rows))
    mark = f"{SIMULATED}. " if section.simulated else ""
    caption = (
        f"{mark}Percent on the test clips of {section.title}, γ learned on validation. S, U: mean "
        "per-class recall of seen and unseen classes; HM: their harmonic mean; ZSL: unseen "
        "classes among themselves; AUSUC: area under the seen-unseen curve."
    )
    if any(row.sd for row in rows):
        caption += " Mean ± standard deviation over seeds."
    return (
        '<div class="headline"><div class="scroll"><table class="results"><thead>'
        '<tr><th scope="col">method</th>'
        f'<th class="n" scope="col">seeds</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
        f'</table></div><p class="caption">{_text(caption)}</p></div>{warnings}'
    )


def _cell(row: SummaryRow, metric: str) -> str:
    spread = ""
    if row.sd is not None:
        spread = f' <span class="sd">±\u202f{percent(row.sd[metric])}</span>'
    return percent(row.mean[metric]) + spread


def _panel(panel: Panel, section: Section) -> str:
    caption = f"{SIMULATED}. {panel.caption}" if section.simulated else panel.caption
    # Large pictures come in pairs where there is room; small ones flow, and the caption with them.
    large = [_picture(picture, section.key) for picture in panel.pictures if picture.scrolls]
    small = [_picture(picture, section.key) for picture in panel.pictures if not picture.scrolls]
    widest = max((picture.figure.get_figwidth() for picture in panel.pictures), default=0.0)
    words = f'<figcaption class="caption">{_text(caption)}</figcaption>'
    if len(large) == 1:
        rows = [("", [*large, f'<div class="aside">{"".join(small)}{words}</div>'])]
    else:
        pair = " pair" if len(large) == 2 and widest <= _PAIRED else ""
        rows = [(pair, large), ("", [*small, words])]
    pictures = "".join(
        f'<div class="pictures{kind}">{"".join(some)}</div>' for kind, some in rows if some
    )
    table = _table(panel.table) if panel.table else ""
    if table and panel.folded:
        table = f"<details><summary>{_text(panel.table_title)}</summary>{table}</details>"
    elif table and panel.table_title:
        table = f"<h4>{_text(panel.table_title)}</h4>{table}"
    cards = "".join(_card(card) for card in panel.cards)
    if cards:
        cards = f'<div class="cards">{cards}</div>'
    return (
        f'<div class="panel" id="{section.key}-{panel.key}"><figure>'
        f"<h3>{_text(panel.title)}</h3>{pictures}</figure>{table}{cards}</div>"
    )


def _picture(picture: Picture, key: str) -> str:
    kind = "picture wide" if picture.scrolls else "picture"
    return f'<div class="{kind}">{picture.inline_svg(f"{key}-{picture.name}")}</div>'


def _card(card: Card) -> str:
    images = "".join(f'<img alt="{_text(image.alt)}" src="{image.uri}">' for image in card.images)
    words = f"<h4>{_text(card.heading)}</h4>{images}<p>{_text(card.remarks)}</p>"
    return f'<div class="card">{words}</div>'


def _table(table: Sequence[Sequence[str]], head: bool = True) -> str:
    titles, *rows = table
    # A column of numbers is set to the right, its heading with it.
    number = [all(_NUMBER.fullmatch(row[at]) for row in rows) for at in range(len(titles))]
    kinds = [' class="n"' if one and rows else "" for one in number]
    top = "".join(f'<th{k} scope="col">{_text(cell)}</th>' for k, cell in zip(kinds, titles))
    lines = "".join(
        f"<tr>{''.join(f'<td{k}>{_breakable(cell)}</td>' for k, cell in zip(kinds, row))}</tr>"
        for row in rows
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{thead}<tbody>{lines}</tbody></table></div>'


def _breakable(text: str) -> str:
    """Paths and long names may break after a slash or an underscore."""
    return _text(text).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _text(text: str) -> str:
    return as_html(printable(text))
