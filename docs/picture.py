"""The picture of the README: a clip, and what ezav answers.

    python docs/picture.py CLIP --classes NAME... [--run RUN] [--out docs/figures/answer.png]

Without RUN nothing is trained (`--frozen`).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from PIL import Image

from ezav import Recognizer
from ezav.media import FrameSpec, read_clip
from ezav.recognizer import Prediction
from ezav.reports.thumbnails import thumbnails

COLOURS = {"seen": "#0072b2", "unseen": "#d55e00", "new": "#d55e00"}


def draw(clip: str, answer: Prediction, out: Path) -> None:
    """Frames and sound on the left, names with their probabilities on the right."""
    seen = read_clip(clip, video=FrameSpec.uniform(3, short_side=96), audio=16_000)
    strips = [Image.open(io.BytesIO(one.data)) for one in thumbnails(seen)]
    figure = pyplot.figure(figsize=(8, 2.4), dpi=110)
    grid = figure.add_gridspec(len(strips), 2, width_ratios=(4, 3), hspace=0.08, wspace=0.08)
    for row, strip in enumerate(strips):
        left = figure.add_subplot(grid[row, 0])
        left.imshow(strip, aspect="auto")
        left.axis("off")
    right = figure.add_subplot(grid[:, 1])
    for row, one in enumerate(answer.ranked):
        right.barh(row, 1, 0.3, color="#e6e6e6")
        right.barh(row, one.probability, 0.3, color=COLOURS[one.kind])
        right.text(0, row - 0.24, f"{one.name}  ({one.kind})", fontsize=10)
        right.text(1, row - 0.24, f"{one.probability:.0%}", fontsize=10, ha="right")
    right.set(ylim=(len(answer.ranked) - 0.6, -0.7))
    right.axis("off")
    figure.savefig(out, bbox_inches="tight", pil_kwargs={"optimize": True})
    Image.open(out).convert("P", palette=Image.Palette.ADAPTIVE, colors=96).save(out, optimize=True)


def main() -> None:
    """Answer the clip and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip")
    parser.add_argument("--run")
    parser.add_argument("--classes", nargs="+")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures/answer.png")
    given = parser.parse_args()
    recognizer = Recognizer.load(given.run) if given.run else Recognizer.frozen()
    (answer,) = recognizer.predict([given.clip], classes=given.classes, top_k=3)
    draw(given.clip, answer, given.out)


if __name__ == "__main__":
    main()
