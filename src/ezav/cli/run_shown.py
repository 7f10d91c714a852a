"""What `ezav run` tells at its end: what was reached, how certain the choice is, where it lies."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ezav.cli.common import output

if TYPE_CHECKING:
    from ezav.protocol.result import RunResult
    from ezav.protocol.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class RunDone:
    """A run and where it lies; as JSON the fields of `result.json` with `folder` before them."""

    folder: Path
    result: RunResult

    def as_dict(self) -> dict[str, object]:
        """The run as JSON-ready data."""
        return {"folder": str(self.folder), **self.result.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class RunsDone:
    """The runs of all seeds, those done before among them.

    Attributes:
        runs: one a seed.
        remarks: what the text encoder cannot read of the class names, or not tell apart.
        verdict: what they reached, in words; None where a side has no test clips.
    """

    runs: tuple[RunDone, ...]
    remarks: tuple[str, ...] = ()
    verdict: Verdict | None = None


def show_runs(done: RunsDone, out: Path) -> None:
    """What `ezav run` prints at its end.

    Args:
        done: the runs.
        out: where they were asked to go: one run folder, or the folder of several.
    """
    from ezav.reports.tables import rich_table, summary_rows

    folders = [run.folder for run in done.runs]
    runs = [run.result for run in done.runs]
    output.print(rich_table(summary_rows(runs)))
    for run in runs:
        _show_choice(run)
    if done.verdict is not None:
        output.print(done.verdict.sentence, soft_wrap=True)
        if done.verdict.against:
            output.print(done.verdict.against, soft_wrap=True)
    output.print(f"run folder: {folders[0] if len(folders) == 1 else out}")
    names = [shlex.quote(str(folder)) for folder in folders]
    output.print("")
    said = " --import" if ":" in runs[0].method else ""
    output.print(f"  ezav predict {names[0]} CLIP...{said}          name what is in a clip")
    every = " ".join(names) if len(names) < 4 else f"{shlex.quote(str(out))}/*"
    output.print(f"  ezav report {every} --out report.html    tables and figures")
    if done.verdict is not None and done.verdict.warning:
        output.print("")
        output.print(Text(done.verdict.warning, "bold red"), soft_wrap=True)


def _show_choice(run: RunResult) -> None:
    """How certain the choice by class folds is, and what each member was worth there."""
    if run.validation_error is not None:
        kept = f"gamma {run.gamma:.2f}" if run.gate == "none" else f"gate {run.gate}, not gamma"
        output.print(
            f"{run.folds} class folds: HM {run.validation.HM:.1%} ± {run.validation_error:.1%}"
            f" (standard error over folds), {kept}"
        )
    if run.classes_tried:
        output.print(classes_line(run), soft_wrap=True)
    for name, one in run.members.items():
        output.print(
            f"  {name:10} weight {one.weight:5.2f}   alone {one.alone:6.1%}"
            f"   the stack without it {-one.lost:+.1%}"
        )


def classes_line(run: RunResult) -> str:
    """Which class embeddings validation chose, and how far the others were from the raw text."""
    from ezav.classes import ClassEmbeddingRecipe
    from ezav.protocol.class_choice import told

    return told(run.classes_tried, ClassEmbeddingRecipe(**run.config["classes"]).label)
