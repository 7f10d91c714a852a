"""The sentence on top of a section: what its best row reached, against a guess and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ezav.protocol.verdict import no_better_than, verdict
from ezav.reports.runs import LabelledRuns, principal
from ezav.reports.summary import kind_of

_CALLED = {"frozen": "the frozen row", "shuffled": "the shuffled control"}


def said_of(groups: Sequence[LabelledRuns]) -> list[str]:
    """Sentences about the row that figures of one model show; warnings after what it reached.

    Frozen rows and shuffled controls are compared with it clip by clip (a paired bootstrap of the
    first seeds).

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> found = said_of(label_runs([Run.read(folder) for folder in find_runs([runs])]))
        >>> found[0][:29], found[1]
        ("'ez_avgzl' was right for 30 o", "It is better than the frozen row 'zero_shot'.")
    """
    shown = principal(groups)
    found = verdict([run.result for run in shown.runs])
    if found is None:
        return []
    there = {kind_of(group.first.result) for group in groups if group is not shown}
    others = {name: one for name, one in found.controls.items() if name not in there}
    found = replace(found, controls=others)  # a row of the table says it better
    said, against = [f"'{shown.label}' was {found.sentence}."], []
    if found.warning:
        against.append(f"{found.warning}.")
    for group in groups:
        kind = kind_of(group.first.result)
        if group is shown or kind not in _CALLED:
            continue
        called = f"{_CALLED[kind]} '{group.label}'"
        ours, other = shown.first, group.first
        gammas = ours.result.gamma, other.result.gamma
        worse = no_better_than(ours.test, other.test, gammas, called)
        if worse:
            against.append(f"{worse}.")
        else:
            said.append(f"It is better than {called}.")
    return said + against
