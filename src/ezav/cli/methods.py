"""The methods: what each is, where it comes from, and what it is checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ezav.cli.common import Command, output

if TYPE_CHECKING:
    from ezav.methods.base import Method


@dataclass(frozen=True)
class MethodRow:
    """A built-in method.

    Attributes:
        name: what `ezav run` calls it.
        title: in words.
        paper: authors, venue and year.
        year: of the paper.
        modalities: what it looks at and listens to.
        tokens: "pooled" (one a modality), "temporal" (all of them), or either.
        trained: something is learned by gradient; None where its settings decide.
        text: which class embeddings it takes.
        checked_against: what its tests compare it with.
    """

    name: str
    title: str
    paper: str
    year: int
    modalities: str
    tokens: str
    trained: bool | None
    text: str
    checked_against: str


@dataclass(frozen=True)
class MethodsResult:
    """All built-in methods, by name."""

    methods: tuple[MethodRow, ...]


@dataclass(kw_only=True)
class MethodsCommand(Command):
    markdown: bool = False
    """Print a Markdown table."""

    def run(self) -> MethodsResult:
        from ezav.methods import registry

        return MethodsResult(tuple(_row(name, registry.get(name)) for name in registry.names()))

    def show(self, result: MethodsResult) -> None:
        from ezav.cli.tables import print_rows
        from ezav.markdown import markdown_rows

        columns = ("name", "year", "modalities", "tokens", "text", "paper", "checked against")
        rows = [
            [m.name, str(m.year), m.modalities, m.tokens, m.text, m.paper, m.checked_against]
            for m in result.methods
        ]
        if self.markdown:
            output.print(markdown_rows(columns, rows))
            return
        print_rows(columns, rows, short=4)
        output.print("\n  ezav run NAME STORE --out RUN        one of them under the protocol")


def _row(name: str, method: type[Method]) -> MethodRow:
    card = method.card
    return MethodRow(
        name=name,
        title=card.title,
        paper=card.paper,
        year=card.year,
        modalities=card.modalities,
        tokens=_tokens(method),
        # A property of the method made: what it blends decides.
        trained=method.trainable if isinstance(method.trainable, bool) else None,
        text=card.text,
        checked_against=card.parity,
    )


def _tokens(method: type[Method]) -> str:
    from ezav.methods.base import Method

    if method.uses_time is not Method.uses_time:  # its config decides
        return "pooled or temporal"
    return "temporal" if method.temporal else "pooled"


CLI = MethodsCommand
