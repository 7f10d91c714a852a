"""Clips and their answers as a page of tiles: pictures, sound, what it was called, right or wrong.

One self-contained HTML file: no script unless one is given, nothing fetched, light or dark as the
reader's system is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import ezav
from ezav.media import Clip
from ezav.naming import as_html, same
from ezav.recognizer.prediction import Prediction
from ezav.reports.thumbnails import Image, thumbnails
from ezav.safe_io import write_text

__all__ = ["Answer", "Group", "Tile", "contact_sheet", "tile_of", "write_contact_sheet"]

_MARKS = {True: ("right", "✓ right"), False: ("wrong", "✗ wrong"), None: ("open", "")}
_MEANING = {
    "seen": "a class that it was trained on",
    "unseen": "a class that it was never trained on",
    "new": "a name that was typed",
    "taught": "a class that a few clips showed after the training",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A class that a clip was given to, or belongs to.

    Attributes:
        name: the class.
        kind: "seen", "unseen", "new", or empty where there is no such thing.
        share: its probability, 0 to 1; None where no percentage is to stand beside it.
    """

    name: str
    kind: str = ""
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One clip.

    Attributes:
        clip: what it is called: a file name, a clip's id.
        answers: best first; empty where there is none, and then a remark says why.
        truth: what it is; None where nobody knows.
        images: of the clip, as :func:`ezav.reports.thumbnails.thumbnails` makes them.
        remarks: sentences below.
        below: HTML at the end of the tile, which is not escaped: never of what others wrote.
    """

    clip: str
    answers: tuple[Answer, ...] = ()
    truth: Answer | None = None
    images: tuple[Image, ...] = ()
    remarks: tuple[str, ...] = ()
    below: str = ""

    @property
    def right(self) -> bool | None:
        """Whether the first answer is the truth; None where there is none of either.

        Example:
            >>> Tile(clip="a.mp4", answers=(Answer(name="dog"),), truth=Answer(name="dog")).right
            True
        """
        if self.truth is None or not self.answers:
            return None
        return same(self.answers[0].name) == same(self.truth.name)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tiles under one heading; without a title they simply follow."""

    tiles: Sequence[Tile]
    title: str = ""


def tile_of(
    found: Prediction,
    clip: Clip | None = None,
    truth: Answer | None = None,
    *,
    most: int = 3,
    percent: bool = True,
) -> Tile:
    """The tile of a recogniser's answer.

    Args:
        found: the answer.
        clip: the same file read small, for its pictures (`EncodedClip.shown` of a look at it).
        truth: what the clip is, where that is known.
        most: candidates to show.
        percent: write probabilities; not where they mean nothing, as of an only candidate.

    Example:
        >>> from ezav.recognizer import Candidate
        >>> dog = Candidate(name="dog", kind="new", score=2.0, probability=0.8)
        >>> tile_of(Prediction(clip="a.mp4", ranked=(dog,), rejected=True)).remarks
        ('none of these stands out: it may be something else',)
    """
    remarks = [f"not read: {found.error}"] if found.error else []
    if found.rejected:
        remarks.append("none of these stands out: it may be something else")
    for modality, reason in found.missing.items():
        what, other = ("sound", "picture") if modality == "audio" else ("picture", "sound")
        remarks.append(f"no {what} ({reason}): answered from the {other} alone")
    remarks += [f"damaged: {warning}" for warning in found.warnings]
    answers = tuple(
        Answer(name=one.name, kind=one.kind, share=one.probability if percent else None)
        for one in found.ranked[:most]
    )
    images = thumbnails(clip) if clip is not None else ()
    return Tile(
        clip=found.clip, answers=answers, truth=truth, images=images, remarks=tuple(remarks)
    )


def write_contact_sheet(
    out: str | Path, groups: Iterable[Group], *, title: str, lead: str = ""
) -> Path:
    """Write the page; an older one there is replaced in one step.

    Args:
        out: the HTML file.
        groups: tiles under their headings.
        title, lead: the page's heading, and a sentence below it.

    Returns:
        `out`.

    Raises:
        EzavError: it cannot be written.

    Example:
        >>> import tempfile
        >>> groups = [Group(tiles=[Tile(clip="a.mp4", answers=(Answer(name="dog", share=0.9),))])]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_contact_sheet(Path(folder, "answers.html"), groups, title="Answers").name
        'answers.html'
    """
    write_text(Path(out), contact_sheet(groups, title=title, lead=lead))
    return Path(out)


def contact_sheet(
    groups: Iterable[Group], *, title: str, lead: str = "", tools: str = "", script: str = ""
) -> str:
    """The page as text; every value is escaped here, but for `tools` and `script`.

    Args:
        groups: tiles under their headings.
        title, lead: the page's heading, and a sentence below it.
        tools: HTML above the tiles.
        script: HTML at the end, whose scripts may run; without it none may.

    Example:
        >>> html = contact_sheet([Group(tiles=[Tile(clip="<b>.mp4")])], title="Answers")
        >>> "<b>.mp4" in html, "&lt;b&gt;.mp4" in html
        (False, True)
    """
    groups = list(groups)
    tiles = [tile for group in groups for tile in group.tiles]
    kinds = dict.fromkeys(a.kind for t in tiles for a in (*t.answers[:1], t.truth) if a and a.kind)
    legend = " ".join(f"<span>{_chip(kind)} {_MEANING.get(kind, '')}</span>" for kind in kinds)
    template = resources.files("ezav.reports").joinpath("contact_sheet.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        version=as_html(ezav.__version__),
        title=_text(title),
        lead=f'<p class="lead">{_text(lead)}</p>' if lead else "",
        legend=f'<p class="legend">{legend}</p>' if legend else "",
        body="\n".join(_group(group) for group in groups),
        tools=tools,
        script=script,
        allowed="; script-src 'unsafe-inline'" if script else "",
    )


def _group(group: Group) -> str:
    title = f"<h2>{_text(group.title)}</h2>" if group.title else ""
    return f'<section>{title}<ul class="tiles">{"".join(map(_tile, group.tiles))}</ul></section>'


def _tile(tile: Tile) -> str:
    word, mark = _MARKS[tile.right]
    images = "".join(f'<img src="{image.uri}" alt="{_text(image.alt)}">' for image in tile.images)
    lines = []
    if tile.answers:
        lines.append(_answer(tile.answers[0], mark))
    if tile.truth is not None and not tile.right:
        lines.append(f'<p class="truth">it is <b>{_text(tile.truth.name)}</b>{_chips(tile.truth)}')
        lines.append("</p>")
    if len(tile.answers) > 1:
        others = "".join(
            f"<li>{_text(one.name)}{_chips(one)}{_share(one)}</li>" for one in tile.answers[1:]
        )
        lines.append(f"<ol>{others}</ol>")
    lines += [f'<p class="remark">{_text(remark)}</p>' for remark in tile.remarks]
    lines.append(f'<p class="clip">{_text(tile.clip).replace("/", "/<wbr>")}</p>')
    inside = f'<div class="strips">{images}</div>{"".join(lines)}{tile.below}'
    return f'<li class="tile {word}">{inside}</li>'


def _answer(answer: Answer, mark: str) -> str:
    told = f'<span class="mark">{mark}</span> ' if mark else ""
    return f"<h3>{told}{_text(answer.name)}{_chips(answer)}{_share(answer)}</h3>"


def _share(answer: Answer) -> str:
    return "" if answer.share is None else f' <span class="share">{answer.share:.0%}</span>'


def _chips(answer: Answer) -> str:
    return f" {_chip(answer.kind)}" if answer.kind else ""


def _chip(kind: str) -> str:
    return f'<span class="chip {as_html(kind)}">{as_html(kind)}</span>'


def _text(text: str) -> str:
    return as_html(text)
