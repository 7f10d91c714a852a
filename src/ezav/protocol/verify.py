"""Is a run whole and unchanged? Every file is compared with its manifest, and its numbers again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ezav.errors import EzavError
from ezav.manifest import differences, read_manifest
from ezav.protocol.files import RESULT
from ezav.protocol.measure import metrics_of
from ezav.protocol.run_folder import read_evaluation_file, read_result

_AGREEMENT = 1e-4


@dataclass(frozen=True, slots=True)
class RunVerification:
    """What :func:`verify_run` looked at, and what is wrong with it (nothing: it is sound).

    Attributes:
        files: how many the manifest names; None for a run of before there were manifests.
        absent: those of them that are not there, as most are not in a download.
        scores: whether the test scores are there, from which the metrics were computed again.
        problems: what is wrong, a line each.
    """

    files: int | None
    absent: tuple[str, ...]
    scores: bool
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """No problem was found."""
        return not self.problems


def verify_run(folder: str | Path) -> RunVerification:
    """Compare every file of a run with its manifest, and its metrics with its scores.

    Args:
        folder: a run, or a recogniser that was saved or downloaded.

    Raises:
        NotFoundError: no run there; all else that is wrong is listed in the result.

    Example:
        >>> found = verify_run(runs / "ez-0")
        >>> found.sound, found.scores
        (True, True)
    """
    folder = Path(folder)
    if not (folder / RESULT).is_file():
        read_result(folder)
    scores = (folder / "test.safetensors").is_file()
    files, problems = None, []
    try:
        files = read_manifest(folder)
        problems += differences(folder, files or {})
    except EzavError as error:
        problems.append(error.message)
    if not problems:
        problems += _other_numbers(folder, scores)
    absent = tuple(name for name in files or () if not (folder / name).is_file())
    return RunVerification(None if files is None else len(files), absent, scores, tuple(problems))


def _other_numbers(folder: Path, scores: bool) -> Iterator[str]:
    try:
        result = read_result(folder)
        if not scores:
            return
        again = metrics_of(read_evaluation_file(folder / "test.safetensors"), result.gamma)
    except EzavError as error:
        yield error.message
        return
    for name, said in result.metrics.model_dump().items():
        mine = getattr(again, name)
        alike = math.isnan(mine) and math.isnan(said)  # every class was trained on
        if not alike and not abs(mine - said) <= _AGREEMENT:
            yield f"its scores give {name} {mine:.4f}, its result says {said:.4f}"
