"""Letters of others: which of them act on a terminal or a page, or are not seen at all."""

from __future__ import annotations

import unicodedata

JOINERS = {"\u200c", "\u200d"}
"""Zero-width joiners, which some scripts need between letters."""
_BLANK = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that nothing is drawn for."""
_ACTING = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def within_script(text: str, at: int) -> bool:
    """Between two letters or signs beyond the alphabets of Latin."""
    neighbours = text[at - 1 : at] + text[at + 1 : at + 2]
    return len(neighbours) == 2 and all(ord(letter) >= 0x0590 for letter in neighbours)


def shown(name: str) -> str:
    """A name of others for a terminal, a table or a page: nothing in it acts.

    Escapes of terminals, line breaks, marks that turn the direction of the text around, and what
    cannot be seen are written out, but for joiners within scripts that need them; everything else
    is as it is.

    Example:
        >>> shown("dog\\x1b[2J\\u202egpj"), shown("猫"), shown("do\\u200cg")
        ('dog\\\\x1b[2J\\\\u202egpj', '猫', 'do\\\\u200cg')
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(
        letter.encode("unicode_escape").decode() if _acts(name, at, letter) else letter
        for at, letter in enumerate(name)
    )


def _acts(name: str, at: int, letter: str) -> bool:
    if letter in JOINERS:
        return not within_script(name, at)
    return letter in _BLANK or unicodedata.category(letter) in _ACTING
