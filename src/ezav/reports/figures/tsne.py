"""A map of the test clips with the class embeddings: t-SNE of profiles over the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from ezav.reports.figures.style import (
    GREY,
    SEEN,
    SEEN_WORDS,
    SERIES,
    UNSEEN,
    UNSEEN_WORDS,
    Panel,
    Picture,
    display_names,
    new_figure,
    styled,
)
from ezav.reports.runs import LabelledRuns
from ezav.reports.tables import to_csv

MOST_CLIPS = 1200
"""t-SNE of more clips takes long and shows no more."""
_COLOURED = 40
"""Up to so many classes each has a colour and a name; beyond, colours show the side only."""
_NAMED_IN_A_CROWD = 24
_FEWEST = 8


@styled
def clip_map(group: LabelledRuns) -> Panel | None:
    """t-SNE (van der Maaten & Hinton 2008) of profiles; None where there is nothing to map.

    Clips and class embeddings live in different spaces for most methods; what they share is a
    profile over the C classes: a clip's scores (gamma subtracted from seen classes), a class
    embedding's similarities to all. Each profile is standardised, so near means correlated.
    """
    run, test = group.first, group.first.test
    chosen = _sample(test.targets.numpy())
    if len(chosen) < _FEWEST:
        return None
    scores = _standardised(test.scores[chosen].double() - run.result.gamma * test.seen)
    vectors = run.classes.select(test.classes).vectors.double()
    profiles = torch.cat([scores, _standardised(vectors @ vectors.T)])
    if not bool(scores.any()) or not bool(torch.isfinite(profiles).all()):
        return None
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(chosen) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="random", random_state=0)
    every = np.asarray(model.fit_transform(profiles.numpy()), dtype=np.float64)
    places, class_places = every[: len(chosen)], every[len(chosen) :]
    targets = test.targets[chosen].numpy()
    seen = test.seen.numpy()
    figure, left_out = _draw(
        places, class_places, targets, seen, test.classes, run.result.simulated
    )
    some = f"{len(chosen)} of the {len(test.clips)}" if len(chosen) < len(test.clips) else "The"
    crowd = len(np.unique(targets)) > _COLOURED
    each = "" if crowd else ", each with its name"
    caption = (
        f"{some} test clips of {run.result.dataset} with the class embeddings, placed by t-SNE "
        f"({group.label}, seed {run.result.seed}, perplexity {perplexity:.0f}): a clip by its "
        "scores of all classes at the learned γ, a class embedding by its similarities to all. "
        "Circles: clips of seen classes; triangles: of unseen ones; crosses: class embeddings"
        f"{each}. {_at_home(places, class_places, targets):.0%} of the clips lie "
        "nearest to the cross of their own class. Distances between far groups mean nothing."
    )
    if crowd:
        caption += " Of so many classes only unseen ones whose clips lie closest are named."
    if left_out:
        caption += f" {left_out} names found no room; the CSV has every clip's class."
    csv: list[list[object]] = [["what", "clip", "class", "seen", "x", "y"]]
    for row, target, (x, y) in zip(chosen.tolist(), targets, places):
        side = bool(seen[target])
        csv.append(["clip", test.clips[row], test.classes[target], side, f"{x}", f"{y}"])
    for name, side, (x, y) in zip(test.classes, seen.tolist(), class_places):
        csv.append(["class embedding", "", name, side, f"{x}", f"{y}"])
    return Panel(
        key="tsne",
        title="Map of the test clips and class embeddings",
        caption=caption,
        pictures=(Picture("tsne", figure, f"t-SNE of {len(chosen)} test clips", scrolls=True),),
        csv={"tsne": to_csv(csv)},
    )


def _sample(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most MOST_CLIPS clips, every class by its share (at least one), always the same ones."""
    if len(targets) <= MOST_CLIPS:
        return np.arange(len(targets))
    order = np.random.default_rng(0).permutation(len(targets))
    share = MOST_CLIPS / len(targets)
    kept = []
    for target in np.unique(targets):
        own = order[targets[order] == target]
        kept.append(own[: max(1, int(share * len(own)))])
    return np.sort(np.concatenate(kept))


def _standardised(rows: torch.Tensor) -> torch.Tensor:
    """Rows of mean 0 and variance 1; a constant row is all 0."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    return torch.where(spread > 0, centred / spread.clamp(min=1e-12), 0.0)


def _at_home(
    places: NDArray[np.float64], class_places: NDArray[np.float64], targets: NDArray[np.int64]
) -> float:
    """Share of clips that lie nearest to the class embedding of their own class."""
    away = np.linalg.norm(places[:, None] - class_places[None], axis=2)
    return float((away.argmin(axis=1) == targets).mean())


def _draw(
    places: NDArray[np.float64],
    class_places: NDArray[np.float64],
    targets: NDArray[np.int64],
    seen: NDArray[np.bool_],
    names: tuple[str, ...],
    simulated: bool,
) -> tuple[Figure, int]:
    figure = new_figure(6.6, 5.8, simulated)
    axes = figure.subplots()
    present = np.unique(targets)
    coloured = len(present) <= _COLOURED
    for number, target in enumerate(present):
        own = places[targets == target]
        side = SEEN if seen[target] else UNSEEN
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=13 if seen[target] else 20,
            marker="o" if seen[target] else "^",
            color=SERIES[number % len(SERIES)] if coloured else side,
            alpha=0.6 if coloured else 0.4,
            linewidths=0,
        )
    axes.scatter(
        class_places[:, 0],
        class_places[:, 1],
        s=34,
        marker="X",
        color=[SEEN if one else UNSEEN for one in seen],
        edgecolors="white",
        linewidths=0.7,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.scatter([], [], marker="o", color=GREY, label="seen class")
    axes.scatter([], [], marker="^", color=GREY, label="unseen class")
    axes.scatter([], [], marker="X", color=GREY, label="class embedding")
    figure.legend(loc="outside lower center", ncols=3)
    named = _to_name(places, targets, present, seen, coloured)
    anchors = {t: class_places[t] for t in named}
    colours = {t: SEEN_WORDS if seen[t] else UNSEEN_WORDS for t in anchors}
    figure.draw_without_rendering()
    shown = display_names([names[t] for t in anchors], 24)
    left_out = _place_names(axes, anchors, dict(zip(anchors, shown)), colours)
    return figure, left_out


def _to_name(
    places: NDArray[np.float64],
    targets: NDArray[np.int64],
    present: NDArray[np.int64],
    seen: NDArray[np.bool_],
    everyone: bool,
) -> list[int]:
    """The classes to name, most important first: unseen ones, and those whose clips lie close."""

    def spread(target: int) -> float:
        own = places[targets == target]
        return float(np.median(np.linalg.norm(own - np.median(own, axis=0), axis=1)))

    wanted = [int(t) for t in present if everyone or not seen[t]]
    wanted.sort(key=lambda t: (bool(seen[t]), spread(t)))
    return wanted if everyone else wanted[:_NAMED_IN_A_CROWD]


def _place_names(
    axes: Axes,
    anchors: dict[int, NDArray[np.float64]],
    names: dict[int, str],
    colours: dict[int, str],
) -> int:
    """Write each name at or near its anchor without overlap; the number of names left out."""
    canvas: Any = FigureCanvasAgg(axes.get_figure(root=True))  # its renderer is untyped
    renderer = canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    taken: list[Bbox] = []
    left_out = 0
    for target, anchor in anchors.items():
        text = axes.annotate(
            names[target],
            (float(anchor[0]), float(anchor[1])),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            color=colours[target],
            weight="bold",
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
            arrowprops={"arrowstyle": "-", "color": colours[target], "lw": 0.5},
        )
        # Names must not move the axes, or they would not stay where there was room.
        text.set_in_layout(False)
        text.update_positions(renderer)
        width = Text.get_window_extent(text, renderer).width
        for offset in _around(width / 2 / renderer.points_to_pixels(1.0)):
            text.xyann = offset
            text.update_positions(renderer)
            # Not the annotation's own extent: that includes its line to the anchor.
            box = Text.get_window_extent(text, renderer).padded(1.5)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
        else:
            text.remove()
            left_out += 1
    return left_out


def _around(half: float) -> list[tuple[float, float]]:
    """Offsets (points) to try for a name of half width `half`: near the anchor first, not on it."""
    found = []
    for height in (9.0, 17.0, 26.0, 36.0):
        for across in (0.0, -0.5 * half, 0.5 * half, -half, half):
            found += [(across, height), (across, -height)]
        found += [(half + height, 0.0), (-half - height, 0.0)]
    return found
