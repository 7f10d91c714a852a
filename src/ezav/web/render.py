"""Parts of the page as HTML: its head; a clip's ranked names, what speaks for them, and when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from ezav.extraction.listing import SIDECARS
from ezav.features.simulated import simulated_banner
from ezav.naming import as_html
from ezav.recognizer import Candidate, Prediction, Recognizer
from ezav.recognizer.explain import MOMENTS
from ezav.recognizer.prediction import ONLY
from ezav.web.example import NAMES
from ezav.web.kept import Kept, Pictures
from ezav.web.settings import WebSettings

_PAGE = Path(__file__).with_name("page.html")

_MEANING = {
    "seen": "trained on clips of it",
    "unseen": "only its name was known in training",
    "new": "typed by you, never seen",
    "taught": "shown by a few clips after the training",
}
_WORDS = {"audio": "sound", "visual": "picture"}
_ROWS = 4
"""Candidates in the timeline."""


def page(recognizer: Recognizer, settings: WebSettings, examples: Sequence[Path]) -> str:
    """All of the page before anything is asked."""
    count = len(recognizer.classes)
    marks = {
        "head": head(recognizer),
        "root": settings.root_path,
        "seconds": f"{settings.max_seconds:g}",
        "megabytes": f"{settings.max_megabytes:g}",
        "letters": f"{settings.max_letters}",
        "empty": f"Empty: all {count} classes of the run. " if count else "",
        "reset": "" if count else "hidden",
        "unteachable": as_html(recognizer.unteachable),
        "examples": "".join(
            f'<button type="button" class="example" data-number="{number}" '
            f'data-file="{as_html(path.name)}">{as_html(path.stem)}</button>'
            for number, path in enumerate(examples)
        ),
        "tried": as_html("|".join(NAMES) if not count else ""),
        "beside": as_html(" ".join(SIDECARS.split())),
    }
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(marks)


def details(one: Kept, found: Prediction | None, explained: bool = False) -> str:
    """A clip of the table, opened: its answer, and what it looks and sounds like.

    Args:
        one: the clip.
        found: its answer; None where it has none.
        explained: with what speaks for the answer, and when.
    """
    if one.error:
        return f'<div class="message"><strong>Not read</strong>{as_html(one.error)}</div>'
    parts = ['<div class="message">Name what it may be, and it is answered.</div>']
    if found is not None:
        parts = [ranking(found)]
    if explained and found is not None:
        parts.append(_modalities(found))
    parts.append(_timeline(found, one.pictures))
    return "".join(parts)


def head(recognizer: Recognizer) -> str:
    """What answers, and how good it is known to be."""
    title = "<h1>What is in these clips?</h1>"
    if recognizer.is_frozen:
        made = ", ".join(one.name for one in recognizer.header.encoders)
        said = "".join(
            f" {as_html(why[:1].upper() + why[1:])}." for why in recognizer.unused.values()
        )
        return (
            f"{title}<p>Nothing trained: names against what {as_html(made)} says of the clip; "
            f"{_worth(recognizer)}.{said}</p>"
        )
    result = recognizer.result
    seen = len(recognizer.seen)
    simulated = f" <strong>{as_html(simulated_banner())}</strong>" if result.simulated else ""
    caution = recognizer.caution
    warning = f'<p class="note">This run: {as_html(caution)}.</p>' if caution else ""
    return (
        f"{title}<p>{as_html(result.label or result.method)} on {as_html(result.dataset)}: {seen} "
        f"seen and {len(recognizer.classes) - seen} unseen classes, test HM "
        f"{result.metrics.HM:.1%}, {_worth(recognizer)}.{simulated}</p>{warning}"
    )


def _worth(recognizer: Recognizer) -> str:
    """What the percentages are worth, or why there are none."""
    withheld = recognizer.calibration.withheld
    return f"no percentages: {withheld}" if withheld else f"calibration error {recognizer.ece_:.1%}"


def ranking(found: Prediction) -> str:
    """The ranked names with bars, and in words what the clip lacks."""
    alone = found.withheld == ONLY
    bars = "".join(_bar(candidate, alone) for candidate in found.ranked)
    kinds = dict.fromkeys(candidate.kind for candidate in found.ranked)
    legend = " · ".join(f"{_chip(kind)} {_MEANING[kind]}" for kind in kinds)
    notes = []
    if found.rejected:
        notes.append("None of these stands out: it may be something else.")
    if found.withheld and not alone:
        notes.append(f"No percentages: {found.withheld}.")
    for modality, reason in found.missing.items():
        other = _WORDS["visual" if modality == "audio" else "audio"]
        notes.append(f"No {_WORDS[modality]} ({reason}): answered from the {other} alone.")
    notes += [f"{remark}." for remark in found.remarks]
    notes += [f"The file is damaged: {warning}." for warning in found.warnings]
    lines = "".join(f'<p class="note">{as_html(note)}</p>' for note in notes)
    if "visual" in found.modalities:
        # Brought up by the style sheet where the player has a sound alone.
        lines += '<p class="remark">Your browser plays only the sound of this file.</p>'
    return f'{lines}<ol class="ranked">{bars}</ol><p class="legend">{legend}</p>'


def _bar(candidate: Candidate, alone: bool = False) -> str:
    known = f" (known as “{candidate.known_as}”)" if candidate.known_as else ""
    percent, bar = "the only name" if alone else "", ""
    if candidate.probability is not None:
        percent = f"{candidate.probability:.1%}"
        bar = (
            f'<div class="track" title="score {candidate.score:.4f}"><div class="fill" '
            f'style="width:{100 * candidate.probability:.2f}%"></div></div>'
        )
    return (
        f'<li class="row {candidate.kind}">'
        f'<div class="line"><span class="name">{as_html(candidate.name + known)}</span>'
        f'{_chip(candidate.kind)}<span class="number">{percent}</span>'
        f'<button type="button" class="is-it" data-name="{as_html(candidate.name)}" '
        f'aria-label="It is {as_html(candidate.name)}">It is this</button></div>{bar}</li>'
    )


def _chip(kind: str) -> str:
    return f'<span class="chip {kind}">{kind}</span>'


def _modalities(found: Prediction) -> str:
    parts = found.best.contributions
    if not parts:
        return ""
    most = max(abs(value) for value in parts.values()) or 1.0
    rows = []
    for name, value in parts.items():
        share = 50 * abs(value) / most
        side = f"left:50%;width:{share:.1f}%" if value >= 0 else f"right:50%;width:{share:.1f}%"
        word = "for" if value >= 0 else "against"
        rows.append(
            f'<div class="part"><span>{_WORDS[name]}</span><div class="scale">'
            f'<div class="{word}" style="{side}"></div></div>'
            f"<span>{value:+.2f}</span></div>"
        )
    return (
        f"<h2>What speaks for “{as_html(found.best.name)}”</h2>{''.join(rows)}"
        '<p class="legend">How much its log probability falls when the clip loses its sound '
        "or its picture; to the left: it speaks against.</p>"
    )


def _timeline(found: Prediction | None, shown: Pictures) -> str:
    strips = []
    if shown.frames:
        images = "".join(f'<img src="{one.uri}" alt="{one.alt}">' for one in shown.frames)
        strips.append(("picture", f'<div class="frames">{images}</div>'))
    if shown.sound is not None:
        one = shown.sound
        strips.append(("sound", f'<img class="sound" src="{one.uri}" alt="{one.alt}">'))
    ranked = found.ranked[:_ROWS] if found is not None else ()
    end = (found.duration if found is not None else 0.0) or shown.duration
    rows = [(c.name, _moments(c, end)) for c in ranked if c.moments]
    if not strips:
        return ""
    body = "".join(
        f'<div class="label">{as_html(name)}</div><div class="strip">{strip}</div>'
        for name, strip in [*strips, *rows]
    )
    axis = (
        f'<div></div><div class="axis"><span>0 s</span><span>{end / 2:.1f} s</span>'
        f"<span>{end:.1f} s</span></div>"
    )
    legend = ""
    if rows:
        words = "Each cell: how probable the class is from this moment alone."
        if any(0 < len(c.moments) < MOMENTS for c in ranked):
            words += " Hatched: a moment from which nothing was read."
        legend = f'<p class="legend">{words}</p>'
    title = "Over time" if rows else "What was read"
    return f'<h2>{title}</h2><div class="time">{body}{axis}</div>{legend}'


def _moments(candidate: Candidate, end: float) -> str:
    cells = []
    told = candidate.probability is not None
    for moment in candidate.moments:
        left = 100 * moment.start / end
        width = 100 * (min(moment.end, end) - moment.start) / end
        cells.append(
            f'<div class="cell {candidate.kind}" style="left:{left:.2f}%;'
            f'width:{width:.2f}%" title="{moment.start:.1f} to {moment.end:.1f} s: '
            f"{f'{moment.alone:.0%} alone, ' if told else ''}"
            f'{moment.contribution:+.2f} to the answer">'
            f'<i style="opacity:{0.06 + 0.94 * moment.alone:.3f}"></i>'
            f"<b>{f'{moment.alone:.0%}' if told else ''}</b></div>"
        )
    return f'<div class="cells">{"".join(cells)}</div>'
