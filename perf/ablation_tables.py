"""The tables of docs/ablations.md, from what `ezav ablate` wrote.

    python perf/ablation_tables.py toy=OUT/toy ucf=OUT/ucf-cls ...

The tables of a store become one: every row once, the full method's in bold, in the order of the
command. Each goes between two marks, `<!-- ablation: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

DOC = Path(__file__).parents[1] / "docs" / "ablations.md"
HEAD = (
    "| | seeds | S | U | HM | ZSL | validation HM | HM − full | |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|---|"
)
SAME = {"alpha 0": "ranking only", "alpha 1": "separation only"}
"""Rows that two tables have under two names."""


def joined(path: Path) -> str:
    with (path / "ablation.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    rows, full = {}, None
    for row in found:
        if row["verdict"] == "full":
            if full is None:
                full = rows["full method"] = row
        elif row["row"] not in SAME:
            rows.setdefault(row["row"], row)
    return "\n".join([HEAD, *(line(label, row) for label, row in rows.items())])


def line(label: str, row: dict[str, str]) -> str:
    def percent(name: str) -> str:
        mean = f"{100 * float(row[f'{name}_mean']):.1f}"
        return f"{mean} ± {100 * float(row[f'{name}_sd']):.1f}" if row[f"{name}_sd"] else mean

    is_full = row["verdict"] == "full"
    delta = "" if is_full else f"{100 * float(row['HM_minus_full']):+.1f}"
    marks = ["▲"] * (row["above_full"] == "True") + ["within sd"] * (row["verdict"] == "within")
    cells = [
        f"**{label}**" if is_full else label,
        row["seeds"],
        *map(percent, ("S", "U", "HM", "ZSL")),
        f"{100 * float(row['validation_HM']):.1f}",
        delta,
        " ".join(marks),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    text = DOC.read_text(encoding="utf-8")
    for pair in sys.argv[1:]:
        name, _, path = pair.partition("=")
        before, rest = text.split(f"<!-- ablation: {name} -->")
        after = rest.split(f"<!-- end of {name} -->")[1]
        table = joined(Path(path))
        text = f"{before}<!-- ablation: {name} -->\n\n{table}\n\n<!-- end of {name} -->{after}"
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
