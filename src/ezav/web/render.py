"""A prediction as HTML: ranked bars, what speaks for the answer, evidence over time."""

from __future__ import annotations

from ezav.features.simulated import simulated_banner
from ezav.media import Clip
from ezav.naming import as_html
from ezav.recognizer import Candidate, Prediction, Recognizer
from ezav.recognizer.explain import MOMENTS
from ezav.recognizer.prediction import ONLY
from ezav.reports.thumbnails import frame_images, sound_strip

_MEANING = {
    "seen": "trained on clips of it",
    "unseen": "only its name was known in training",
    "new": "typed by you, never seen",
    "taught": "shown by a few clips after the training",
}
_WORDS = {"audio": "sound", "visual": "picture"}
_ROWS = 4
"""Candidates in the timeline."""


def message(text: str) -> str:
    """What went wrong, or what to do, in a box."""
    return f'<div class="ezav-message"><strong>No answer</strong>{as_html(text)}</div>'


def hint(frozen: bool = False) -> str:
    """Before the first answer: where it will be, how it will look, and what its marks mean.

    Args:
        frozen: nothing was trained, so that every name is new.
    """
    kinds = ["new"] if frozen else list(_MEANING)
    marks = "".join(f"<li>{_chip(kind)} {_MEANING[kind]}</li>" for kind in kinds)
    rows = "".join(
        f'<div class="ezav-ghost"><span>{name}</span>'
        f'<div class="ezav-track"><div style="width:{width}%"></div></div></div>'
        for name, width in (("the likeliest name", 78), ("the next one", 15), ("…", 5))
    )
    return (
        '<div class="ezav-hint"><p><strong>Here the answer will be.</strong> Give a clip, of '
        "picture or sound: the classes it may be of appear here, the likeliest first, and when "
        "you ask why, what its sound, its picture and each moment say.</p>"
        f'<div aria-hidden="true">{rows}</div><ul>{marks}</ul></div>'
    )


def player(address: str, name: str) -> str:
    """The clip to be played; what cannot be is a remark, which the page's script brings up."""
    return (
        f'<div class="ezav-player"><video controls preload="metadata" src="{as_html(address)}" '
        f'aria-label="the clip {as_html(name)}"></video>'
        '<p class="ezav-remark">Your browser cannot play this file. It is read all the same.</p>'
        "</div>"
    )


def head(recognizer: Recognizer) -> str:
    """What answers, and how good it is known to be."""
    title = "<h1>What is in this clip?</h1>"
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
    warning = f'<p class="ezav-note">This run: {as_html(caution)}.</p>' if caution else ""
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
    lines = "".join(f'<p class="ezav-note">{as_html(note)}</p>' for note in notes)
    if "visual" in found.modalities:
        # Brought up by the style sheet where the player has a sound alone.
        lines += '<p class="ezav-remark">Your browser plays only the sound of this file.</p>'
    return f'{lines}<ol class="ezav-ranked">{bars}</ol><p class="ezav-legend">{legend}</p>'


def evidence(found: Prediction, shown: Clip) -> str:
    """Why: what each modality adds, and the clip over time with each moment's own answer."""
    parts = [_modalities(found), _timeline(found, shown)]
    return "".join(part for part in parts if part)


def _bar(candidate: Candidate, alone: bool = False) -> str:
    known = f" (known as “{candidate.known_as}”)" if candidate.known_as else ""
    percent, bar = "the only name" if alone else "", ""
    if candidate.probability is not None:
        percent = f"{candidate.probability:.1%}"
        bar = (
            f'<div class="ezav-track" title="score {candidate.score:.4f}"><div class="ezav-fill" '
            f'style="width:{100 * candidate.probability:.2f}%"></div></div>'
        )
    return (
        f'<li class="ezav-row ezav-{candidate.kind}">'
        f'<div class="ezav-line"><span class="ezav-name">{as_html(candidate.name + known)}</span>'
        f'{_chip(candidate.kind)}<span class="ezav-number">{percent}</span></div>{bar}</li>'
    )


def _chip(kind: str) -> str:
    return f'<span class="ezav-chip ezav-{kind}">{kind}</span>'


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
            f'<div class="ezav-part"><span>{_WORDS[name]}</span><div class="ezav-scale">'
            f'<div class="ezav-{word}" style="{side}"></div></div>'
            f"<span>{value:+.2f}</span></div>"
        )
    return (
        f"<h2>What speaks for “{as_html(found.best.name)}”</h2>{''.join(rows)}"
        '<p class="ezav-legend">How much its log probability falls when the clip loses its sound '
        "or its picture; to the left: it speaks against.</p>"
    )


def _timeline(found: Prediction, shown: Clip) -> str:
    strips = []
    if shown.frames is not None:
        images = "".join(
            f'<img src="{one.uri}" alt="{one.alt}">' for one in frame_images(shown.frames)
        )
        strips.append(("picture", f'<div class="ezav-frames">{images}</div>'))
    if shown.waveform is not None:
        one = sound_strip(shown.waveform, shown.duration)
        strips.append(("sound", f'<img class="ezav-sound" src="{one.uri}" alt="{one.alt}">'))
    end = found.duration or shown.duration
    rows = [(c.name, _moments(c, end)) for c in found.ranked[:_ROWS] if c.moments]
    if not strips:
        return ""
    body = "".join(
        f'<div class="ezav-label">{as_html(name)}</div><div class="ezav-strip">{strip}</div>'
        for name, strip in [*strips, *rows]
    )
    axis = (
        f'<div></div><div class="ezav-axis"><span>0 s</span><span>{end / 2:.1f} s</span>'
        f"<span>{end:.1f} s</span></div>"
    )
    legend = ""
    if rows:
        words = "Each cell: how probable the class is from this moment alone."
        if any(0 < len(c.moments) < MOMENTS for c in found.ranked[:_ROWS]):
            words += " Hatched: a moment from which nothing was read."
        legend = f'<p class="ezav-legend">{words}</p>'
    title = "Over time" if rows else "What was read"
    return f'<h2>{title}</h2><div class="ezav-time">{body}{axis}</div>{legend}'


def _moments(candidate: Candidate, end: float) -> str:
    cells = []
    told = candidate.probability is not None
    for moment in candidate.moments:
        left = 100 * moment.start / end
        width = 100 * (min(moment.end, end) - moment.start) / end
        cells.append(
            f'<div class="ezav-cell ezav-{candidate.kind}" style="left:{left:.2f}%;'
            f'width:{width:.2f}%" title="{moment.start:.1f} to {moment.end:.1f} s: '
            f"{f'{moment.alone:.0%} alone, ' if told else ''}"
            f'{moment.contribution:+.2f} to the answer">'
            f'<i style="opacity:{0.06 + 0.94 * moment.alone:.3f}"></i>'
            f"<b>{f'{moment.alone:.0%}' if told else ''}</b></div>"
        )
    return f'<div class="ezav-cells">{"".join(cells)}</div>'
