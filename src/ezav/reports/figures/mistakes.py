"""Confident mistakes: the wrong answers a model was surest of, with the clips where they exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ezav.reports.figures.confusion import side
from ezav.reports.figures.style import Card, Panel, display_name, printable
from ezav.reports.runs import LabelledRuns, Run
from ezav.reports.tables import to_csv
from ezav.reports.thumbnails import RANGE, thumbnails

MOST = 12
_PER_CLASS = 2
"""A class that always fails must not fill the gallery."""
_FRAMES = 4
_HEIGHT = 96
_RATE = 16_000


@dataclass(frozen=True)
class Mistake:
    """A test clip given to the wrong class.

    Attributes:
        clip: its id.
        true, predicted: rows of the candidates.
        margin: score of the predicted minus score of the true class, gamma subtracted from seen
            classes; in units of the method's scores.
    """

    clip: str
    true: int
    predicted: int
    margin: float


def mistakes(run: Run) -> list[Mistake]:
    """The wrong predictions with the largest margin, at most two of a true class.

    Example:
        >>> from ezav.reports.runs import Run
        >>> worst, *others = mistakes(Run.read(runs / "frozen"))
        >>> worst.true != worst.predicted, all(worst.margin >= one.margin > 0 for one in others)
        (True, True)
    """
    test = run.test
    penalised = test.scores.double() - run.result.gamma * test.seen
    given = penalised.gather(1, run.predictions[:, None])[:, 0]
    margin = given - penalised.gather(1, test.targets[:, None])[:, 0]
    wrong = (run.predictions != test.targets).nonzero()[:, 0]
    ordered = wrong[margin[wrong].argsort(descending=True, stable=True)]
    found: list[Mistake] = []
    used: Counter[int] = Counter()
    for row in ordered.tolist():
        true = int(test.targets[row])
        if used[true] < _PER_CLASS and len(found) < MOST:
            used[true] += 1
            found.append(
                Mistake(test.clips[row], true, int(run.predictions[row]), float(margin[row]))
            )
    return found


def error_gallery(group: LabelledRuns, find: Callable[[str], Path | None] | None) -> Panel:
    """The table of confident mistakes, and cards with frames and spectrogram.

    Args:
        group: the lowest seed's run is shown.
        find: clip id -> its media file, or None where there is none; None: no files at all.
    """
    run = group.first
    found = mistakes(run)
    names, seen = run.test.classes, run.test.seen.tolist()
    wrong = int((run.predictions != run.test.targets).sum())

    def words(row: int) -> str:
        return f"{printable(names[row])} ({side(seen[row])})"

    rows = [
        [printable(m.clip), words(m.true), words(m.predicted), f"{m.margin:#.3g}"] for m in found
    ]
    cards = []
    for mistake in found:
        path = find(mistake.clip) if find else None
        if path is not None:
            heading = f"{words(mistake.true)} taken for {words(mistake.predicted)}"
            cards.append(_card(mistake, heading, path))
    caption = (
        f"{wrong} of {len(run.test.clips)} test clips of {run.result.dataset} are misnamed by "
        f"{group.label}, seed {run.result.seed}. Shown are those it was surest of (at most "
        f"{_PER_CLASS} of a class); the margin is the score of the predicted class minus that of "
        "the true one, at the learned γ."
    )
    if find is None:
        caption += " No media files were given, so there are no pictures."
    elif len(cards) < len(found):
        caption += f" The files of {len(found) - len(cards)} of them were not found."
    head: list[object] = ["clip", "true", "true_seen", "predicted", "predicted_seen", "margin"]
    csv = [head]
    for m in found:
        sides = [names[m.true], seen[m.true], names[m.predicted], seen[m.predicted]]
        csv.append([m.clip, *sides, m.margin])
    return Panel(
        key="mistakes",
        title="Confident mistakes",
        caption=caption,
        csv={"mistakes": to_csv(csv)},
        table=[["clip", "true class", "predicted", "margin"], *rows] if rows else [],
        cards=tuple(cards),
    )


def _card(mistake: Mistake, heading: str, path: Path) -> Card:
    from ezav.media import FrameSpec, read_clip

    clip = read_clip(path, video=FrameSpec.uniform(_FRAMES, short_side=_HEIGHT), audio=_RATE)
    remarks = [display_name(mistake.clip, 80)]
    if clip.video_missing:
        remarks.append(f"no picture: {clip.video_missing}")
    if clip.waveform is not None:
        seconds = f"{clip.waveform.duration:.1f} s"
        remarks.append(f"{seconds} of sound, 0 to {_RATE // 2000} kHz, {RANGE:.0f} dB")
    elif clip.audio_missing:
        remarks.append(f"no sound: {clip.audio_missing}")
    return Card(heading, thumbnails(clip), " · ".join(remarks))
