"""Who runs the epochs that a protocol asks for: each protocol alone, or several together."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ezav.training.together import Together
from ezav.training.trainer import EpochLog, Trainer

Result = TypeVar("Result")


@dataclass(frozen=True)
class EpochWanted:
    """One epoch of a trainer, at a learning rate if one is given."""

    trainer: Trainer
    rate: float | None = None


Steps = Generator[EpochWanted, EpochLog, Result]
"""Work that needs epochs of training: it yields each and is sent its log."""


def alone(steps: Steps[Result]) -> Result:
    """Run every epoch as it is asked for.

    Example:
        >>> def work():
        ...     return 3
        ...     yield
        >>> alone(work())
        3
    """
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(wanted.trainer.run_epoch(wanted.rate))
    except StopIteration as done:
        result: Result = done.value
        return result


def together(works: Sequence[Steps[Result]]) -> list[Result]:
    """Run several works whose trainers differ in their seed, each epoch in one batched pass.

    Those that are in the same stage train together; one that has ended or is ahead does not
    hold up the others' epochs.

    Args:
        works: one a seed.

    Raises:
        EzavError: the method cannot train several seeds in one pass.

    Example:
        >>> def work(seed):
        ...     return seed
        ...     yield
        >>> together([work(0), work(1)])
        [0, 1]
    """
    results: dict[int, Result] = {}
    wanted: dict[int, EpochWanted] = {}

    def advance(position: int, log: EpochLog | None) -> None:
        wanted.pop(position, None)
        try:
            steps = works[position]
            wanted[position] = next(steps) if log is None else steps.send(log)
        except StopIteration as done:
            results[position] = done.value

    for position in range(len(works)):
        advance(position, None)
    passes: list[Together] = []
    while wanted:
        groups = _by_stage(wanted)
        passes = _regroup(passes, [[wanted[p].trainer for p in group] for group in groups])
        for group, one in zip(groups, passes):
            logs = one.run_epoch([wanted[position].rate for position in group])
            for position, log in zip(group, logs):
                advance(position, log)
    _regroup(passes, [])
    return [results[position] for position in range(len(works))]


def _regroup(passes: list[Together], groups: list[list[Trainer]]) -> list[Together]:
    """A pass for each group: the one of before if its seeds are still the same."""
    kept = {one.trainers: one for one in passes if list(one.trainers) in groups}
    for one in passes:
        if one.trainers not in kept:
            one.part()
    return [kept.get(tuple(group)) or Together(group) for group in groups]


def _by_stage(wanted: dict[int, EpochWanted]) -> list[list[int]]:
    """Positions of those who train on the same clips."""
    groups: dict[int, list[int]] = {}
    for position, one in wanted.items():
        groups.setdefault(id(one.trainer.train), []).append(position)
    return [sorted(group) for group in groups.values()]
