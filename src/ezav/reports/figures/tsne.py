"""A map of the test clips with the class embeddings: t-SNE of profiles over the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from ezav.reports.figures.style import (
    COLUMN,
    GREY,
    SEEN,
    SEEN_WORDS,
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
_NUMBERED = 48
"""Up to so many classes each has a number on the map and its name beside; beyond, few are named."""
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
    right = (run.predictions[chosen] == test.targets[chosen]).numpy()
    drawn = _Map(places, class_places, targets, right, seen, test.classes)
    figure, left_out = drawn.draw(run.result.simulated)
    some = f"{len(chosen)} of the {len(test.clips)}" if len(chosen) < len(test.clips) else "The"
    caption = (
        f"{some} test clips of {run.result.dataset} with the class embeddings, placed by t-SNE "
        f"({group.label}, seed {run.result.seed}, perplexity {perplexity:.0f}): a clip by its "
        "scores of all classes at the learned γ, a class embedding by its similarities to all. "
        f"{_at_home(places, class_places, targets):.0%} of the clips lie nearest to the class "
        "embedding of their own class. Distances between far groups mean nothing."
    )
    pictures = [Picture("tsne", figure, f"t-SNE of {len(chosen)} test clips", scrolls=True)]
    if drawn.numbered:
        caption += " A number is a class embedding, a line leads from a clip to that of its class."
        alt = "the names of the classes by their numbers on the map"
        pictures.append(Picture("tsne-names", drawn.names_by_number(run.result.simulated), alt))
    else:
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
        pictures=tuple(pictures),
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


@dataclass(frozen=True)
class _Map:
    """What is drawn: places `[N, 2]` of clips and `[C, 2]` of class embeddings, and whose they are.

    Attributes:
        right: bool `[N]`, the clip was called by its name.
        seen: bool `[C]`.
    """

    places: NDArray[np.float64]
    class_places: NDArray[np.float64]
    targets: NDArray[np.int64]
    right: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    names: tuple[str, ...]

    @property
    def numbered(self) -> bool:
        """Each class has a number."""
        return len(self.names) <= _NUMBERED

    @property
    def numbers(self) -> list[int]:
        """The classes in the order of their numbers: seen ones first, by name."""
        return sorted(range(len(self.names)), key=lambda c: (not self.seen[c], self.names[c]))

    def draw(self, simulated: bool) -> tuple[Figure, int]:
        """The map, and how many names found no room on it."""
        figure = new_figure(6.6, 5.8, simulated)
        axes = figure.subplots()
        if self.numbered:
            self._lines(axes)
        self._clips(axes)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        self._legend(figure, axes)
        if self.numbered:
            self._badges(axes)
            return figure, 0
        x, y = self.class_places.T
        axes.scatter(x, y, s=34, marker="X", c=self._colours, edgecolors="white", linewidths=0.7)
        named = self._to_name()
        anchors = {target: self.class_places[target] for target in named}
        colours = {t: SEEN_WORDS if self.seen[t] else UNSEEN_WORDS for t in anchors}
        figure.draw_without_rendering()
        shown = display_names([self.names[t] for t in anchors], 24)
        return figure, _place_names(axes, anchors, dict(zip(anchors, shown)), colours)

    @property
    def _colours(self) -> list[str]:
        return [SEEN if one else UNSEEN for one in self.seen]

    def _lines(self, axes: Axes) -> None:
        for side, colour in ((True, SEEN), (False, UNSEEN)):
            own = self.seen[self.targets] == side
            ends = np.stack([self.places[own], self.class_places[self.targets[own]]], axis=1)
            axes.add_collection(LineCollection(list(ends), colors=colour, alpha=0.25, lw=0.6))

    def _clips(self, axes: Axes) -> None:
        """Circles of seen and triangles of unseen classes; hollow where called otherwise."""
        for side, colour, marker, size in ((True, SEEN, "o", 16), (False, UNSEEN, "^", 24)):
            for right in (True, False):
                own = (self.seen[self.targets] == side) & (self.right == right)
                face = colour if right else "none"
                x, y = self.places[own].T
                axes.scatter(
                    x,
                    y,
                    s=size,
                    marker=marker,
                    facecolor=face,
                    edgecolor=colour,
                    linewidths=0.9,
                    alpha=0.7,
                )

    def _badges(self, axes: Axes) -> None:
        """The number of each class where its embedding is."""
        for number, target in enumerate(self.numbers, start=1):
            colour = SEEN_WORDS if self.seen[target] else UNSEEN_WORDS
            shape = "circle,pad=0.22" if self.seen[target] else "square,pad=0.25"
            x, y = self.class_places[target]
            axes.text(
                float(x),
                float(y),
                str(number),
                ha="center",
                va="center",
                fontsize=7.5,
                weight="bold",
                color=colour,
                bbox={"boxstyle": shape, "fc": "white", "ec": colour, "lw": 1.1},
            )

    def _legend(self, figure: Figure, axes: Axes) -> None:
        axes.scatter([], [], marker="o", color=SEEN, label="clip of a seen class")
        axes.scatter([], [], marker="^", color=UNSEEN, label="clip of an unseen class")
        words = "hollow: called otherwise"
        axes.scatter([], [], marker="o", facecolor="none", edgecolor=GREY, label=words)
        if self.numbered:
            words = "number: class embedding"
            axes.scatter([], [], marker="s", facecolor="white", edgecolor=GREY, s=44, label=words)
        else:
            axes.scatter([], [], marker="X", color=GREY, label="class embedding")
        figure.legend(loc="outside lower center", ncols=2)

    def names_by_number(self, simulated: bool) -> Figure:
        """The legend of the numbers: names in full, as far as there is room."""
        count = len(self.names)
        figure = new_figure(COLUMN, 0.35 + 0.19 * count, simulated)
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(count + 0.5, -0.5)
        shown = display_names([self.names[target] for target in self.numbers], 46)
        for row, (target, name) in enumerate(zip(self.numbers, shown)):
            colour = SEEN_WORDS if self.seen[target] else UNSEEN_WORDS
            axes.text(
                0.06, row, str(row + 1), ha="right", weight="bold", fontsize=8.5, color=colour
            )
            side = "" if self.seen[target] else "  (unseen)"
            axes.text(0.09, row, name + side, fontsize=8.5, color=colour)
        return figure

    def _to_name(self) -> list[int]:
        """In a crowd: the unseen classes whose clips lie closest, those first."""

        def spread(target: int) -> float:
            own = self.places[self.targets == target]
            return float(np.median(np.linalg.norm(own - np.median(own, axis=0), axis=1)))

        wanted = [int(t) for t in np.unique(self.targets) if not self.seen[t]]
        return sorted(wanted, key=spread)[:_NAMED_IN_A_CROWD]


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
