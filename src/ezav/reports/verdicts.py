"""The sentence on top of a section: what its best row reached, against a guess and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ezav.protocol.verdict import no_better_than, verdict
from ezav.reports.runs import LabelledRuns, principal
from ezav.reports.summary import kind_of

_CALLED = {
    "frozen": "the frozen row",
    "closed": "the closed form",
    "shuffled": "the shuffled control",
}
_CONTROLS = {
    "frozen": "the frozen encoders without training",
    "shuffled": "the same with shuffled names",
}
"""What every run is compared with on its own."""


def said_of(groups: Sequence[LabelledRuns]) -> list[str]:
    """Sentences about the row that figures of one model show; warnings after what it reached.

    The first says what it is better than: guessing, frozen rows, the closed form, shuffled names,
    as far as they are there. Rows are compared clip by clip (a paired bootstrap of the first
    seeds).

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> found = said_of(label_runs([Run.read(folder) for folder in find_runs([runs])]))
        >>> found[0]
        "'ez_avgzl' is better than guessing and the frozen row 'zero_shot'."
        >>> found[1][:23]
        'It was right for 30 of '
    """
    shown = principal(groups)
    found = verdict([run.result for run in shown.runs])
    if found is None:
        return []
    there = {kind_of(group.first.result) for group in groups if group is not shown}
    others = {name: one for name, one in found.controls.items() if name not in there}
    found = replace(found, controls=others)  # a row of the table says it better
    better, against = [], []
    if found.better_than_guessing:
        better.append("guessing")
    better += [_CONTROLS.get(name, name) for name, one in found.controls.items() if one.low > 0]
    if found.warning:
        against.append(f"{found.warning}.")
    for group in groups:
        called = "" if group is shown else _called(group)
        if not called:
            continue
        ours, other = shown.first, group.first
        gammas = ours.result.gamma, other.result.gamma
        worse = no_better_than(ours.test, other.test, gammas, called)
        if worse:
            against.append(f"{worse}.")
        else:
            better.append(called)
    said = [f"'{shown.label}' is better than {_listed(better)}."] if better else []
    said.append(f"{'It' if better else repr(shown.label)} was {found.sentence}.")
    if _is_closed_form(shown) and any(_is_trained(group) for group in groups if group is not shown):
        said.append("It is the closed form itself: no other trained row validates better.")
    return said + against


def _called(group: LabelledRuns) -> str:
    """What a row is that another should be better than; empty for one of its own kind."""
    kind = "closed" if _is_closed_form(group) else kind_of(group.first.result)
    return f"{_CALLED[kind]} '{group.label}'" if kind in _CALLED else ""


def _is_closed_form(group: LabelledRuns) -> bool:
    return group.first.result.method == "eszsl" and _is_trained(group)


def _is_trained(group: LabelledRuns) -> bool:
    return kind_of(group.first.result) == "trained"


def _listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
