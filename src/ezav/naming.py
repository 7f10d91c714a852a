"""Names that people write: one form to keep, one to compare, one to show."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape

from ezav.errors import EzavError
from ezav.letters import JOINERS, within_script
from ezav.letters import shown as shown  # of errors, too, which know nothing of names

_FORMULA = {"=", "+", "-", "@", "|", "%"}
"""What a cell of a spreadsheet that is computed, or calls something, may begin with."""
_WIDE = str.maketrans("<>{}", "＜＞｛｝")


def clean(name: str) -> str:
    """The form in which a name is kept: what cannot be seen in it is gone.

    Accented letters are in one form (NFC), spaces of all kinds are single spaces, and zero-width
    and control characters are left out, but for joiners within scripts that need them.

    Example:
        >>> clean("dog\\u200b  barking"), clean("\\ufeffcafe\\u0301\\u00a0noise")
        ('dog barking', 'café noise')
    """
    if name.isascii() and name.isprintable():
        return " ".join(name.split())
    composed = unicodedata.normalize("NFC", name)
    kept = [
        letter
        for at, letter in enumerate(composed)
        if unicodedata.category(letter) not in {"Cc", "Cf"}
        or letter.isspace()
        or (letter in JOINERS and within_script(composed, at))
    ]
    return " ".join("".join(kept).split())


def same(name: str) -> str:
    """What two spellings of one name have in common: case, width, spacing and `_` do not matter.

    Example:
        >>> same("Playing  Guitar") == same("playing_guitar") == same("Ｐｌａｙｉｎｇ guitar")
        True
    """
    folded = unicodedata.normalize("NFKC", clean(name)).casefold().replace("_", " ")
    return " ".join(folded.split())


def refuse_twins(names: Iterable[str]) -> None:
    """Refuse two names that are one to everybody who reads them.

    Raises:
        EzavError: the first such pair; where they look alike, the letters that differ are told.

    Example:
        >>> refuse_twins(["dog", "Dog"])
        Traceback (most recent call last):
        ezav.errors.EzavError: 'dog' and 'Dog' are two names of one class; use one of them
    """
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(same(name), name)
        if twin != name:
            raise EzavError(
                f"'{twin}' and '{name}' are two names of one class{difference(twin, name)}",
                "use one of them",
            )


def difference(first: str, second: str) -> str:
    """How two names that look alike differ, in parentheses; empty where it can be seen.

    Example:
        >>> difference("dog", "ｄog")
        " (they differ in 'FULLWIDTH LATIN SMALL LETTER D')"
        >>> difference("dog", "Dog")
        ''
    """
    other = set(first) ^ set(second)
    odd = sorted(letter for letter in other if not letter.isascii())
    if not odd:
        return ""
    named = ", ".join(f"'{unicodedata.name(one, f'U+{ord(one):04X}')}'" for one in odd[:3])
    return f" (they differ in {named})"


def as_html(text: str) -> str:
    """Any text of others for a page, also within an attribute: nothing in it acts.

    Example:
        >>> as_html("<b>dog</b>\\u202egpj")
        '&lt;b&gt;dog&lt;/b&gt;\\\\u202egpj'
    """
    return escape(shown(text))


def as_cell(name: str) -> str:
    """A name of others for a cell of a CSV file: no spreadsheet takes it for a formula.

    Example:
        >>> print(as_cell("=1+1"), as_cell("rock 'n' roll"), as_cell(" @SUM(A1)"))
        '=1+1 rock 'n' roll ' @SUM(A1)
    """
    text = shown(name)
    first = unicodedata.normalize("NFKC", text).lstrip()[:1]
    return f"'{text}" if first in _FORMULA else text


def as_subtitle(name: str) -> str:
    """A name of others for subtitles, which have no way to write the signs of their markup.

    Example:
        >>> as_subtitle("<b>dog</b> {\\\\an8} --> cat")
        '＜b＞dog＜/b＞ ｛\\\\an8｝ → cat'
    """
    return shown(name).replace("-->", "→").translate(_WIDE)
