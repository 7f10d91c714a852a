"""The tables of docs/measurements/ablation-tables.md, from what `ezav ablate` wrote.

    python perf/ablation_tables.py toy=OUT/toy ucf=OUT/ucf-cls ...

The tables of a store become one: every row once, the full method's under that name, in the order
of the command. Each goes between two marks, `<!-- ablation: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOC = Path(__file__).parents[1] / "docs" / "measurements" / "ablation-tables.md"
SAME = ("alpha 0", "alpha 1")
"""Rows that the first table has as "ranking only" and "separation only"."""


def joined(path: Path) -> str:
    lines = (path / "ablation.md").read_text(encoding="utf-8").splitlines()
    head, rule, *lines = [line for line in lines if line.startswith("|")]
    rows: dict[str, str] = {}
    for line in lines:
        line = re.sub(r"^\| \*\*.*?\*\* ", "| **full method** ", line)
        label = line.split("|")[1].strip()
        if line not in (head, rule) and label not in SAME:
            rows.setdefault(label, line)
    return "\n".join([head, rule, *rows.values()])


def main() -> None:
    text = DOC.read_text(encoding="utf-8")
    for pair in sys.argv[1:]:
        name, _, path = pair.partition("=")
        first, last = f"<!-- ablation: {name} -->", f"<!-- end of {name} -->"
        if first not in text or last not in text:
            sys.exit(f"{DOC} has no marks '{first}' and '{last}'")
        before, rest = text.split(first)
        table = joined(Path(path))
        text = f"{before}{first}\n\n{table}\n\n{last}{rest.split(last)[1]}"
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
