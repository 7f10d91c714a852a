"""Confident mistakes: the wrong answers a model was surest of, with the clips where they exist."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.reports.figures.confusion import side
from ezav.reports.figures.style import Card, Image, Panel, display_name, printable
from ezav.reports.runs import LabelledRuns, Run
from ezav.reports.tables import to_csv

if TYPE_CHECKING:
    from ezav.media import Frames, Waveform

MOST = 12
_PER_CLASS = 2
"""A class that always fails must not fill the gallery."""
_FRAMES = 4
_HEIGHT = 96
_RATE = 16_000
_RANGE_DB = 70.0


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
    images = []
    remarks = [display_name(mistake.clip, 80)]
    if clip.frames is not None:
        images.append(Image("image/jpeg", _strip(clip.frames), f"{len(clip.frames)} frames"))
    elif clip.video_missing:
        remarks.append(f"no picture: {clip.video_missing}")
    if clip.waveform is not None:
        images.append(Image("image/png", _spectrogram(clip.waveform), "log-mel spectrogram"))
        seconds = f"{clip.waveform.duration:.1f} s"
        remarks.append(f"{seconds} of sound, 0 to {_RATE // 2000} kHz, {_RANGE_DB:.0f} dB")
    elif clip.audio_missing:
        remarks.append(f"no sound: {clip.audio_missing}")
    return Card(heading, tuple(images), " · ".join(remarks))


def _strip(frames: Frames) -> bytes:
    """Frames side by side as JPEG."""
    from PIL import Image as Pillow

    pictures = [Pillow.fromarray(image) for image in frames.images]
    pictures = [p.resize((max(1, p.width * _HEIGHT // p.height), _HEIGHT)) for p in pictures]
    strip = Pillow.new("RGB", (sum(p.width + 2 for p in pictures) - 2, _HEIGHT), "white")
    across = 0
    for picture in pictures:
        strip.paste(picture, (across, 0))
        across += picture.width + 2
    return _encoded(strip, "JPEG", quality=80)


def _spectrogram(sound: Waveform) -> bytes:
    """The log-mel spectrogram as PNG, low frequencies at the bottom."""
    from matplotlib import colormaps
    from PIL import Image as Pillow

    from ezav.encoders.mel import mel_filterbank, power_spectrogram

    power = power_spectrogram(sound.samples, window=512, hop=160, size=1024)
    bands = power @ mel_filterbank(sound.sample_rate, 1024, 64, 20.0, sound.sample_rate / 2)
    level = 10 * np.log10(np.maximum(bands, 1e-10))
    shade = np.clip((level - level.max()) / _RANGE_DB + 1, 0, 1).T[::-1]
    pixels = (colormaps["cividis"](shade)[..., :3] * 255).astype(np.uint8)
    return _encoded(Pillow.fromarray(pixels).resize((360, _HEIGHT)), "PNG")


def _encoded(picture: Any, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
