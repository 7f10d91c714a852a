"""Is run A better than run B? A paired bootstrap over the test clips of one feature store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from ezav.cli.common import Command, at_least_one, output


@dataclass(kw_only=True)
class CompareCommand(Command):
    a: tyro.conf.Positional[Path]
    """A run folder."""
    b: tyro.conf.Positional[Path]
    """Another run folder, of the same feature store."""
    draws: int = 2000
    """Resamples of the clips."""
    seed: int = 0
    """Of the resamples."""

    def run(self) -> dict[str, Any]:
        from ezav.protocol.compare import paired_bootstrap
        from ezav.protocol.run_folder import read_evaluation_file, read_result
        from ezav.reports.summary import Comparable, comparable

        at_least_one(draws=self.draws)
        results = read_result(self.a), read_result(self.b)
        tests = [read_evaluation_file(run / "test.safetensors") for run in (self.a, self.b)]
        gammas = results[0].gamma, results[1].gamma
        where = [comparable(result) for result in results]
        found = paired_bootstrap(tests[0], tests[1], gammas, self.draws, self.seed)
        return {
            "a": {"folder": str(self.a), "label": results[0].label, "seed": results[0].seed},
            "b": {"folder": str(self.b), "label": results[1].label, "seed": results[1].seed},
            "simulated": any(one.simulated for one in where),
            "differ_in": [name for name, x, y in zip(Comparable._fields, *where) if x != y],
            "difference": {name: asdict(one) for name, one in found.items()},
        }

    def show(self, result: dict[str, Any]) -> None:
        from rich.table import Table

        from ezav.features.simulated import simulated_banner

        a, b = result["a"], result["b"]
        table = Table(box=None)
        for column in ("", "A - B", "95 % interval", "A better in"):
            table.add_column(column, justify="right")
        for name, one in result["difference"].items():
            table.add_row(
                name,
                f"{100 * one['value']:+.1f}",
                f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}",
                f"{one['share_better']:.0%}",
            )
        told = [f"{name}: {x['label']} (seed {x['seed']})" for name, x in (("A", a), ("B", b))]
        output.print("   ".join(told))
        output.print(table)
        output.print("percent points; clips resampled within classes, the same for both runs")
        if result["simulated"]:
            output.print(simulated_banner())
        if result["differ_in"]:
            names = ", ".join(name.replace("_", " ") for name in result["differ_in"])
            output.print(f"note: the runs are not of one feature store; they differ in {names}")


CLI = CompareCommand
