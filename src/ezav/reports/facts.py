"""The words of a report: the protocol in one paragraph, the runs, versions and fingerprints."""

from __future__ import annotations

from collections.abc import Sequence

from ezav.features.simulated import SIMULATED
from ezav.reports.runs import LabelledRuns, principal, without_ceo
from ezav.reports.summary import percent


def protocol_of(groups: Sequence[LabelledRuns]) -> str:
    """How the numbers of a section came about.

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> groups = label_runs([Run.read(folder) for folder in find_runs([runs])])
        >>> protocol_of(groups)[:44], "'ez_avgzl'" in protocol_of(groups)
        ('Two-stage protocol (Mercea et al., CVPR 2022', True)
    """
    result = groups[0].first.result
    test = groups[0].first.test
    seen, unseen = (len(result.candidates[side]) for side in ("seen", "unseen"))
    seen_clips = int(test.seen[test.targets].sum())
    shown = principal(groups)
    text = (
        "Two-stage protocol (Mercea et al., CVPR 2022). Stage 1 trains on the training split and "
        "chooses, on validation clips of seen and of held-out classes, the epoch and the "
        "calibration constant γ with the best HM. Stage 2 trains again from scratch on training "
        "and validation clips together for that number of epochs; γ stays fixed (calibrated "
        "stacking: γ is subtracted from the scores of seen classes). Only then are the test clips "
        f"scored, {seen_clips} of {seen} seen and {len(test.clips) - seen_clips} of {unseen} "
        f"unseen classes, all {seen + unseen} classes being candidates. Nothing is selected on "
        "test data. Class embeddings were given to classes "
        + (
            "by name"
            if result.text_alignment == "by_name"
            else "in the order of the released loaders (most classes get another class's)"
        )
        + "."
    )
    if len(groups) > 1:
        text += (
            f" Figures of one model show '{shown.label}': among the trained rows it has the best "
            "HM on validation."
        )
        other = without_ceo(shown, groups)
        if other is not None:
            text += f" 'Without CEO' is '{other.label}'."
    return text


def run_table(groups: Sequence[LabelledRuns]) -> list[list[str]]:
    """Header and one row a run: what was learned on validation, sizes, seconds, folder.

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> for row in run_table(label_runs([Run.read(folder) for folder in find_runs([runs])])):
        ...     print(*row, sep=" | ")
        run | seed | γ | epoch | validation HM | parameters | seconds | folder
        ez_avgzl | 0 | 0.7106 | 4 | 91.1 | 1,234 | 2.6 | runs/ez-0
        ez_avgzl | 1 | 0.03712 | 4 | 98.3 | 1,234 | 2.6 | runs/ez-1
        zero_shot | 0 | 0.5957 | 4 | 35.8 | 1,234 | 2.6 | runs/frozen
    """
    rows = [["run", "seed", "γ", "epoch", "validation HM", "parameters", "seconds", "folder"]]
    for group in groups:
        for run in group.runs:
            result = run.result
            rows.append(
                [
                    group.label,
                    str(result.seed),
                    f"{result.gamma:.4g}",
                    str(result.epoch),
                    percent(result.validation.HM),
                    f"{result.parameters:,}",
                    f"{sum(result.timing.values()):.1f}",
                    "/".join(run.folder.resolve().parts[-2:]),
                ]
            )
    return rows


def facts_of(groups: Sequence[LabelledRuns]) -> dict[str, str]:
    """Data set, encoders, store fingerprint and versions of a section.

    Example:
        >>> from ezav.reports.runs import Run, find_runs, label_runs
        >>> facts = facts_of(label_runs([Run.read(folder) for folder in find_runs([runs])]))
        >>> facts["data set"], facts["audio encoder"], facts["splits"]
        ('toy', 'beeps (1), 4 dimensions', 'drawn, seed 3')
    """
    runs = [run for group in groups for run in group.runs]
    result, header = runs[0].result, runs[0].header
    facts = {
        "data set": result.dataset + (f" ({SIMULATED})" if result.simulated else ""),
        "setting": result.setting or "–",
        "text alignment": result.text_alignment,
    }
    for encoder in header.get("encoders", []):
        revision = f" ({encoder['revision']})" if encoder.get("revision") else ""
        words = f"{encoder['name']}{revision}, {encoder['dimension']} dimensions"
        key = f"{encoder['modality']} encoder"
        facts[key] = f"{facts[key]}; {words}" if key in facts else words
    splits = header.get("splits")
    if splits:
        seed = "" if splits.get("seed") is None else f", seed {splits['seed']}"
        detail = f" ({splits['detail']})" if splits.get("detail") else ""
        facts["splits"] = f"{splits['how']}{seed}{detail}"
    facts["store fingerprint"] = result.store_fingerprint
    for name in dict.fromkeys(name for run in runs for name in run.result.versions):
        values = dict.fromkeys(run.result.versions.get(name, "?") for run in runs)
        facts[name] = ", ".join(values)
    return facts
