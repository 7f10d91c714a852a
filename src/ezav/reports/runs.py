"""Run folders as a report needs them: the result, the stored scores, class embeddings, history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import DamagedError, EzavError
from ezav.metrics import calibrated_predictions
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.files import RESULT
from ezav.protocol.measure import metrics_of
from ezav.protocol.result import RunResult
from ezav.protocol.run_folder import read_evaluation_file, read_result
from ezav.reports.summary import METRICS, group_runs, kind_of
from ezav.small_files import parse_json, read_small

_AGREEMENT = 1e-6
"""Stored metrics and those of the stored scores are the same numbers, but for rounding."""


@dataclass(frozen=True)
class Run:
    """One run folder; files other than the result are read when they are asked for.

    Raises:
        NotFoundError: (on reading) a file is missing.
        DamagedError: a file cannot be read, or does not belong to the result.
    """

    folder: Path
    result: RunResult

    @classmethod
    def read(cls, folder: str | Path) -> Run:
        """The run in a folder."""
        return cls(Path(folder), read_result(folder))

    @cached_property
    def test(self) -> Evaluation:
        """Stored scores of the test clips; they must give the metrics of the result."""
        path = self.folder / "test.safetensors"
        test = read_evaluation_file(path)
        again, said = metrics_of(test, self.result.gamma), self.result.metrics
        for name in METRICS:
            mine, theirs = getattr(again, name), getattr(said, name)
            if math.isnan(mine) and math.isnan(theirs):
                continue  # every class was trained on: there is S alone
            if not abs(mine - theirs) <= _AGREEMENT:
                raise DamagedError(
                    f"'{path}' gives {name} {mine:.4f}, but result.json beside it says "
                    f"{theirs:.4f}",
                    "the folder holds files of two runs: run it again",
                )
        return test

    @cached_property
    def predictions(self) -> Tensor:
        """The predicted class of each test clip, gamma subtracted from seen scores; long `[N]`."""
        return calibrated_predictions(self.test.scores, self.test.seen, self.result.gamma)

    @cached_property
    def text(self) -> ClassEmbeddings:
        """Class embeddings as the text encoder gave them."""
        return ClassEmbeddings.load(self.folder / "text.safetensors")

    @cached_property
    def classes(self) -> ClassEmbeddings:
        """Class embeddings as the method was trained with."""
        return ClassEmbeddings.load(self.folder / "class_embeddings.safetensors")

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The epochs of stage 1."""
        path = self.folder / "metrics.jsonl"
        try:
            return [parse_json(line) for line in path.read_bytes().splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise DamagedError(f"cannot read '{path}': {error}", "run it again") from error

    @cached_property
    def header(self) -> dict[str, Any]:
        """The header of the feature store the run was trained on; empty where it is not stored."""
        path = self.folder / "store.json"
        try:
            header = parse_json(read_small(path)) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise DamagedError(f"cannot read '{path}': {error}", "run it again") from error
        return header if isinstance(header, dict) else {}


@dataclass(frozen=True)
class LabelledRuns:
    """The runs of one table row, sorted by seed."""

    label: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run with the lowest seed: what figures of a single run show."""
        return self.runs[0]

    @property
    def setting(self) -> dict[str, Any]:
        """How the class embeddings were made, as the config says (empty: the method's own way)."""
        return self.first.result.config.get("classes") or {}

    @property
    def uses_ceo(self) -> bool:
        """Class embeddings were optimised, and not shuffled."""
        return self.setting.get("source") == "ceo" and not self.setting.get("shuffle")

    @property
    def uses_raw_text(self) -> bool:
        """Class embeddings are the text embeddings as they were."""
        return self.setting.get("source") == "raw" and not self.setting.get("shuffle")

    @property
    def validation_hm(self) -> float:
        """Mean HM on validation."""
        return sum(run.result.validation.HM for run in self.runs) / len(self.runs)


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Run folders: each path itself, or the runs one or two levels below it.

    Raises:
        EzavError: a path holds no run.

    Example:
        >>> [found.name for found in find_runs([runs, runs / "ez-0"])]
        ['ez-0', 'ez-1', 'frozen']
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if (path / RESULT).is_file():
            inside = [path]
        else:
            # Hidden ones are being written, or were when a kill came.
            levels = ("[!.]*", "[!.]*/[!.]*")
            inside = sorted(f.parent for p in levels for f in path.glob(f"{p}/result.json"))
        if not inside:
            # The reader's own message: no such folder, or no result in it.
            read_result(path)
        found += [folder for folder in inside if folder not in found]
    if not found:
        raise EzavError("no run given", "name one or more run folders in `runs`")
    return found


def label_runs(runs: Sequence[Run]) -> list[LabelledRuns]:
    """Runs by table row, in the order of :func:`ezav.reports.summary.summary_rows`.

    Example:
        >>> found = [Run.read(folder) for folder in find_runs([runs])]
        >>> [(group.label, len(group.runs)) for group in label_runs(found)]
        [('ez_avgzl', 2), ('zero_shot', 1)]
    """
    return [
        LabelledRuns(label, tuple(runs[position] for position in positions))
        for label, positions in group_runs([run.result for run in runs])
    ]


def principal(groups: Sequence[LabelledRuns]) -> LabelledRuns:
    """The row that figures of one model show: the best HM on *validation*, controls left out.

    Example:
        >>> principal(label_runs([Run.read(folder) for folder in find_runs([runs])])).label
        'ez_avgzl'
    """
    real = [group for group in groups if kind_of(group.first.result) == "trained"]
    real = real or [g for g in groups if kind_of(g.first.result) == "frozen"] or list(groups)
    return max(real, key=lambda group: group.validation_hm)


def without_ceo(group: LabelledRuns, groups: Sequence[LabelledRuns]) -> LabelledRuns | None:
    """The row of the same method on raw text embeddings, if `group` uses optimised ones.

    Among several, the one whose other settings differ least.

    Example:
        >>> groups = label_runs([Run.read(folder) for folder in find_runs([runs])])
        >>> print(without_ceo(groups[0], groups))  # the other row is of another method
        None
    """
    if not group.uses_ceo:
        return None
    result = group.first.result
    others = [
        other
        for other in groups
        if other.uses_raw_text and other.first.result.method == result.method
    ]

    def distance(other: LabelledRuns) -> int:
        theirs = other.first.result.config
        return sum(
            theirs.get(name) != value for name, value in result.config.items() if name != "classes"
        )

    return min(others, key=distance, default=None)
