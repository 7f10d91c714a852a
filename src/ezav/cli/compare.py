"""Is run A better than run B? A paired bootstrap over the test clips of one feature store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ezav.cli.common import Command, at_least_one, output

if TYPE_CHECKING:
    from ezav.protocol.compare import Difference


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of the two runs."""

    folder: Path
    label: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """Run A minus run B.

    Attributes:
        a, b: the runs.
        simulated: of either, so that nothing is said about a method's worth.
        differ_in: what they should share and do not.
        difference: S, U, HM and ZSL.
    """

    a: Compared
    b: Compared
    simulated: bool
    differ_in: list[str]
    difference: dict[str, Difference]


@dataclass(kw_only=True)
class CompareCommand(Command):
    a: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Compare this run folder."""
    b: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Compare it with this run folder, of the same feature store."""
    draws: int = 2000
    """Draw the clips again so many times."""
    seed: int = 0
    """Draw the resamples from this seed."""

    def run(self) -> CompareResult:
        from ezav.protocol.compare import paired_bootstrap
        from ezav.protocol.run_folder import read_evaluation_file, read_result
        from ezav.reports.summary import Comparable, comparable

        at_least_one(draws=self.draws)
        results = read_result(self.a), read_result(self.b)
        tests = [read_evaluation_file(run / "test.safetensors") for run in (self.a, self.b)]
        gammas = results[0].gamma, results[1].gamma
        where = [comparable(result) for result in results]
        found = paired_bootstrap(tests[0], tests[1], gammas, self.draws, self.seed)
        runs = [
            Compared(folder=folder, label=one.label, seed=one.seed)
            for folder, one in zip((self.a, self.b), results)
        ]
        return CompareResult(
            a=runs[0],
            b=runs[1],
            simulated=any(one.simulated for one in where),
            differ_in=[name for name, x, y in zip(Comparable._fields, *where) if x != y],
            difference=found,
        )

    def show(self, result: CompareResult) -> None:
        from rich.table import Table

        from ezav.features.simulated import simulated_banner

        table = Table(box=None)
        for column in ("", "A - B", "95 % interval", "A better in"):
            table.add_column(column, justify="right")
        for name, one in result.difference.items():
            table.add_row(
                name,
                f"{100 * one.value:+.1f}",
                f"{100 * one.low:+.1f} to {100 * one.high:+.1f}",
                f"{one.share_better:.0%}",
            )
        both = (("A", result.a), ("B", result.b))
        told = [f"{name}: {run.label} (seed {run.seed})" for name, run in both]
        output.print("   ".join(told))
        output.print(table)
        output.print("percent points; clips resampled within classes, the same for both runs")
        if result.simulated:
            output.print(simulated_banner())
        if result.differ_in:
            names = ", ".join(name.replace("_", " ") for name in result.differ_in)
            output.print(f"note: the runs are not of one feature store; they differ in {names}")


CLI = CompareCommand
