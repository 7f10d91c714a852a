"""How figures look: colours safe for the colour-blind, fonts, and what a panel of a report is."""

from __future__ import annotations

import io
import math
import re
import unicodedata
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

from ezav.features.simulated import SIMULATED
from ezav.naming import shown
from ezav.reports.thumbnails import Image
from ezav.safe_io import atomic_path, write_text

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#8A8A8A"
SERIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
"""Okabe & Ito (2008) without the yellow, which is too pale on white."""
DASHES = ("-", "--", "-.", ":")
SEEN, UNSEEN = BLUE, VERMILLION
SEEN_WORDS, UNSEEN_WORDS = "#00598C", "#A84400"
"""The same two for small text: at least 5 to 1 against white."""
COLUMN = 4.6
"""Width in inches of a figure that stays legible on a phone."""
NAME_LENGTH = 32

_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "image.interpolation": "nearest",
    # A class may be called "$100 bill": names are never formulas.
    "text.parse_math": False,
    # Text stays text: searchable, and shown in any script the reader's machine has fonts for.
    "svg.fonttype": "none",
    "svg.hashsalt": "ezav",
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_PNG_DPI = 200

P = ParamSpec("P")
R = TypeVar("R")


_HEX = re.compile(r"(?<=: )#[0-9a-fA-F]{6}\b")
_THEMED = {
    "#ffffff": "page",
    BLACK: "ink",
    "#1a1a1a": "ink",
    GREY: "grey",
    "#b0b0b0": "grey",
    "#666666": "grey",
    BLUE: "seen-bars",
    VERMILLION: "unseen-bars",
    SEEN_WORDS: "seen",
    UNSEEN_WORDS: "unseen",
}
_THEMED = {colour.lower(): name for colour, name in _THEMED.items()}


def _themed(found: re.Match[str]) -> str:
    """A colour of a drawing as the page's own, which are others in the dark."""
    name = _THEMED.get(found[0].lower())
    return found[0] if name is None else f"var(--{name}, {found[0]})"


@dataclass(frozen=True)
class Picture:
    """One drawing.

    Attributes:
        name: of its files, without ending.
        figure: the matplotlib figure.
        alt: what it shows, for those who cannot see it.
        scrolls: on a narrow screen it keeps a legible size and scrolls instead of shrinking.
    """

    name: str
    figure: Figure
    alt: str
    scrolls: bool = False

    @cached_property
    def svg(self) -> str:
        """The drawing as an SVG document."""
        with _rendering():
            buffer = io.StringIO()
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()

    def png(self) -> bytes:
        """The drawing as PNG, 200 dots an inch."""
        with _rendering():
            buffer = io.BytesIO()
            self.figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
        return buffer.getvalue()

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the drawing into a folder, as `<name>.svg` and `<name>.png`.

        The same drawing gives the same bytes.

        Returns:
            The two files.

        Raises:
            EzavError: the folder cannot be written.
        """
        paths = folder / f"{self.name}.svg", folder / f"{self.name}.png"
        write_text(paths[0], self.svg)
        with atomic_path(paths[1]) as temporary:
            temporary.write_bytes(self.png())
        return paths

    def inline_svg(self, prefix: str) -> str:
        """An `<svg>` element for a page that holds other drawings: its ids begin with `prefix`."""
        ElementTree.register_namespace("", _SVG)
        ElementTree.register_namespace("xlink", _XLINK)
        root = ElementTree.fromstring(self.svg)
        for parent in list(root.iter()):
            for child in list(parent):
                # A style sheet inside an inline drawing would rule the whole page.
                if child.tag in {f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"}:
                    parent.remove(child)
        for element in root.iter():
            for key, value in element.attrib.items():
                if key == "style":
                    element.set(key, _HEX.sub(_themed, value))
                    value = element.attrib[key]
                if key == "id":
                    element.set(key, f"{prefix}-{value}")
                elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
                    element.set(key, f"#{prefix}-{value[1:]}")
                elif "url(#" in value:
                    element.set(key, value.replace("url(#", f"url(#{prefix}-"))
        root.set("role", "img")
        root.set("aria-label", self.alt)
        width = self.figure.get_figwidth() * 96
        for key in ("width", "height"):
            root.attrib.pop(key, None)
        # What has no colour of its own is black.
        root.set("style", f"width:{width:.0f}px; fill: var(--ink, #000000)")
        return ElementTree.tostring(root, encoding="unicode")


@dataclass(frozen=True)
class Card:
    """A clip in the gallery: heading, pictures, remarks."""

    heading: str
    images: tuple[Image, ...]
    remarks: str


@dataclass(frozen=True)
class Panel:
    """One figure of the report: pictures, a caption that says what data they are from, numbers.

    Attributes:
        key: name of its files.
        title: heading.
        caption: what is shown and what data it is from.
        pictures: drawings, side by side where there is room.
        csv: file name without ending -> the numbers shown, as CSV.
        table: header and rows of a table shown below the pictures.
        table_title: what the table is.
        folded: the table is long and opens on demand.
        cards: clips, below the table.
        half: it stands beside its neighbour where the screen is wide.
    """

    key: str
    title: str
    caption: str
    pictures: tuple[Picture, ...] = ()
    csv: dict[str, str] = field(default_factory=dict)
    table: Sequence[Sequence[str]] = ()
    table_title: str = ""
    folded: bool = False
    cards: tuple[Card, ...] = ()
    half: bool = False


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the report's style whatever the caller's matplotlib settings are."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with _rendering():
            return function(*args, **kwargs)

    return inner


def new_figure(width: float, height: float, simulated: bool) -> Figure:
    """An empty figure (inches); simulated data is stamped across it.

    Example:
        >>> figure = new_figure(4, 3, simulated=True)
        >>> [one.get_text() for one in figure.texts]
        ['SIMULATED DATA', 'SIMULATED DATA']
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    if simulated:
        # White beneath it, a little aside: legible on dark cells and on filled bars, too.
        for colour, aside in (("white", 0.006), (VERMILLION, 0.0)):
            figure.text(
                0.5 + aside,
                0.5 - aside,
                SIMULATED,
                rotation=0.8 * math.degrees(math.atan2(height, width)),
                ha="center",
                va="center",
                fontsize=min(width * 6.5, height * 9),
                color=colour,
                alpha=0.45,
                weight="bold",
                zorder=100,
            )
    return figure


def display_name(name: str, length: int = NAME_LENGTH) -> str:
    """A name fit for a label: one line, no control characters, shortened in the middle.

    Names of one set often share their beginning or their end, so both are kept.

    Example:
        >>> display_name("a red square bouncing with a high beep", 16)
        'a red squ…h beep'
        >>> display_name("tab\\there")
        'tab here'
    """
    clean = printable(name)
    if len(clean) <= length:
        return clean
    tail = (length - 1) * 2 // 5
    return clean[: length - 1 - tail].rstrip() + "…" + clean[-tail:].lstrip()


def display_names(names: Sequence[str], length: int = NAME_LENGTH) -> list[str]:
    """Labels for a set of names, longer where shortening would make two of them equal.

    Example:
        >>> display_names(["a dog that barks loudly", "a dog that barks slowly"], 12)
        ['a dog t…udly', 'a dog t…owly']
    """
    labels = [display_name(name, length) for name in names]
    for longer in (length + 8, length + 20, length + 40):
        if len(set(labels)) == len(set(names)):
            break
        labels = [display_name(name, longer) for name in names]
    return labels


def printable(text: str) -> str:
    """One line without characters that XML or HTML forbid, or that act in it.

    Example:
        >>> printable("bell\\x07  and\\nnewline")
        'bell\\\\x07 and newline'
    """
    one_line = shown(" ".join(text.split()))
    return "".join("\ufffd" if unicodedata.category(c) == "Cn" else c for c in one_line)


def _full_style() -> Any:
    style: dict[str, Any] = {}
    for key, value in matplotlib.rcParamsDefault.items():
        if key not in _UNTOUCHED:
            style[key] = value
    return {**style, **_STYLE}


_UNTOUCHED = {"backend", "backend_fallback", "interactive", "toolbar", "timezone", "date.epoch"}


@contextmanager
def _rendering() -> Iterator[None]:
    with matplotlib.rc_context(_full_style()), warnings.catch_warnings():
        # DejaVu lacks many scripts; in the SVG the reader's own fonts fill in.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        yield
