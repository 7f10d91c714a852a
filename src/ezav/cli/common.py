"""What every command shares: `--json`, the consoles, the shape of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console

from ezav.errors import EzavError

# Paths and class names are printed as they are: `[b]` and `:dog:` mean nothing, styles are `Text`.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
progress = Console(stderr=True, **_PLAIN)
"""Progress, warnings and errors: stderr, so that stdout stays clean for results."""
output = Console(soft_wrap=True, **_PLAIN)
"""Results for people; with `--json` nothing is printed here but one JSON document."""


@dataclass(kw_only=True)
class Command:
    """A command: its fields are its options, `run` does the work, `show` prints it for people."""

    json: bool = False
    """Print the result as one JSON document on stdout."""

    def run(self) -> dict[str, Any]:
        """Do the work and return the result as JSON-ready data."""
        raise RuntimeError(f"{type(self).__name__} does not define run()")

    def show(self, result: dict[str, Any]) -> None:
        """Print the result for a person."""
        output.print_json(data=result)


Importing = Annotated[
    bool,
    tyro.conf.arg(
        name="import",
        help="Import the code of one's own (`package.module:Name`) that the run or the recipe file "
        "names. Importing runs it: say so only where you trust it.",
    ),
]
"""The option `--import` of a command that reads what may name code; `docs/trust.md`."""


def at_least_one(**counts: int | None) -> None:
    """Refuse options that count something and are below 1; None stands for a default.

    Raises:
        EzavError: the first such option, by the name that the user gave it.

    Example:
        >>> at_least_one(seeds=5, processes=None)
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise EzavError(f"--{name.replace('_', '-')} must be at least 1, not {count}")
