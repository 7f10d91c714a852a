"""Make a simulated benchmark of the real size, to exercise everything without real features.

SUITE is `{ucf,vggsound,activitynet}-{main,cls,temporal,clipclap}`. Features are noisy nonlinear
functions of class vectors: transfer to unseen classes is possible and not perfect. What is made
says "simulated" in its data set's name, in its header and in every table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ezav.cli.common import Command, output, progress
from ezav.errors import EzavError

_SUITES = Literal[
    "ucf-main",
    "ucf-cls",
    "ucf-temporal",
    "ucf-clipclap",
    "activitynet-main",
    "activitynet-cls",
    "activitynet-temporal",
    "activitynet-clipclap",
    "vggsound-main",
    "vggsound-cls",
    "vggsound-temporal",
    "vggsound-clipclap",
]


@dataclass(frozen=True, kw_only=True)
class SimulateResult:
    """What was drawn.

    Attributes:
        out: the feature store, or the folder of published files (`as_files`).
        dataset, setting: what its header says.
        text: class embeddings, the default first.
        clips, classes: how many there are in each split.
    """

    out: Path
    as_files: bool
    dataset: str
    setting: str
    simulated: bool
    text: list[str]
    clips: dict[str, int]
    classes: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """The result as JSON-ready data: `out` under what it is, `store` or `files`."""
        plain = asdict(self)
        kind = "files" if plain.pop("as_files") else "store"
        return {kind: str(plain.pop("out")), **plain}


@dataclass(kw_only=True)
class CLI(Command):
    suite: tyro.conf.Positional[_SUITES]
    """Imitate this benchmark."""
    out: Path
    """Write the feature store into this folder; the word "simulated" is added to its name if it
    lacks it."""
    as_files: bool = False
    """Write files of the published layout instead of a store, to try `ezav import`."""
    text: tuple[Path, ...] = ()
    """Use these text embeddings of the data set's classes (for clipclap: the CLIP, then the CLAP
    file). Without them class vectors are drawn."""
    splits: Path | None = None
    """Use this official class-split folder. Without it class lists of the official sizes are
    drawn."""
    scale: float = 1.0
    """Draw this share of the official number of clips."""
    seed: int = 0
    """Draw everything from this seed."""

    arguments: ClassVar[dict[str, str]] = {"class_split": "splits"}

    def run(self) -> SimulateResult:
        from ezav.benchmarks.simulate import plan_simulation, write_files, write_store

        out = _labelled(self.out)
        plan = plan_simulation(
            self.suite, text=self.text, class_split=self.splits, scale=self.scale, seed=self.seed
        )
        with progress.status(f"drawing {sum(plan.clips.values()):,} clips"):
            if self.as_files:
                write_files(plan, out)
                clips = plan.clips_by_split()
            else:
                clips = write_store(plan, out)
        return SimulateResult(
            out=out,
            as_files=self.as_files,
            dataset=plan.dataset,
            setting=plan.features.setting,
            simulated=True,
            text=[one.encoder for one in plan.text],
            clips=clips,
            classes={split: len(names) for split, names in plan.classes.splits.items()},
        )

    def show(self, result: SimulateResult) -> None:
        output.print(
            f"{result.dataset} ({result.setting}): {sum(result.clips.values()):,} "
            f"simulated clips -> {result.out}"
        )
        for split, clips in result.clips.items():
            output.print(f"  {split}: {result.classes[split]} classes, {clips:,} clips")


def _labelled(out: Path) -> Path:
    """The folder, with the word "simulated" in its name."""
    if out.name in ("", ".."):  # `.` is a folder with a name too
        out = out.resolve()
    if not out.name:
        raise EzavError(f"'{out}' is no folder to write to", "give --out the name of a new folder")
    return out if "simulated" in out.name else out.with_name(f"{out.name}-simulated")
