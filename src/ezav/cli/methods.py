"""The methods: what each is, where it comes from, and what it is checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ezav.cli.common import Command, output

if TYPE_CHECKING:
    from ezav.methods.base import Method


@dataclass(kw_only=True)
class MethodsCommand(Command):
    markdown: bool = False
    """Print a Markdown table."""

    def run(self) -> dict[str, Any]:
        from ezav.methods import registry

        rows = []
        for name in registry.names():
            method = registry.get(name)
            card = method.card
            rows.append(
                {
                    "name": name,
                    "title": card.title,
                    "paper": card.paper,
                    "year": card.year,
                    "modalities": card.modalities,
                    "tokens": _tokens(method),
                    "trained": method.trainable,
                    "text": card.text,
                    "checked against": card.parity,
                }
            )
        return {"methods": rows}

    def show(self, result: dict[str, Any]) -> None:
        columns = ("name", "paper", "year", "modalities", "tokens", "text", "checked against")
        rows = [[str(row[column]) for column in columns] for row in result["methods"]]
        if self.markdown:
            lines = [columns, ["---"] * len(columns), *rows]
            output.print("\n".join(f"| {' | '.join(line)} |" for line in lines))
            return
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, no_wrap=column == "name", overflow="fold")
        for row in rows:
            table.add_row(*row)
        output.print(table)
        output.print("\n  ezav run NAME STORE --out RUN        one of them under the protocol")


def _tokens(method: type[Method]) -> str:
    from ezav.methods.base import Method

    if method.uses_time is not Method.uses_time:  # its config decides
        return "pooled or temporal"
    return "temporal" if method.temporal else "pooled"


CLI = MethodsCommand
