"""Embeddings for names typed after training: the same objective, with the old classes frozen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.geometry import (
    COINCIDENT,
    Subspace,
    exact_unit,
    separation_bound,
    sphere_distances,
    text_order,
)
from ezav.classes.objective import Objective, ObjectiveSettings, Scales, Semantic
from ezav.classes.optimize import NotConverged, as_class_embeddings, centred, scales_of
from ezav.errors import EzavError
from ezav.threads import one_thread, workers

# With more old classes than this, new ones are placed one by one, to bound the memory.
_ONE_AT_A_TIME = 3_000


@overload
def extend_class_embeddings(
    t_new: ClassEmbeddings,
    t: ClassEmbeddings | Tensor,
    w: ClassEmbeddings | Tensor,
    *,
    alpha: float | None = ...,
    margin: float | None = ...,
    semantic: Semantic | None = ...,
    center: bool | None = ...,
    learning_rate: float = ...,
    tolerance: float = ...,
    max_steps: int = ...,
    on_progress: Callable[[int, int], None] | None = ...,
) -> ClassEmbeddings: ...
@overload
def extend_class_embeddings(
    t_new: Tensor,
    t: ClassEmbeddings | Tensor,
    w: ClassEmbeddings | Tensor,
    *,
    alpha: float | None = ...,
    margin: float | None = ...,
    semantic: Semantic | None = ...,
    center: bool | None = ...,
    learning_rate: float = ...,
    tolerance: float = ...,
    max_steps: int = ...,
    on_progress: Callable[[int, int], None] | None = ...,
) -> Tensor: ...
def extend_class_embeddings(
    t_new: ClassEmbeddings | Tensor,
    t: ClassEmbeddings | Tensor,
    w: ClassEmbeddings | Tensor,
    *,
    alpha: float | None = None,
    margin: float | None = None,
    semantic: Semantic | None = None,
    center: bool | None = None,
    learning_rate: float = 0.1,
    tolerance: float = 3e-3,
    max_steps: int = 1_000,
    on_progress: Callable[[int, int], None] | None = None,
) -> ClassEmbeddings | Tensor:
    """Class embeddings for new names, with the trained ones left exactly as they are.

    Each new class minimises the terms of (4) that it takes part in, as if it alone joined the
    old ones. The result for a name depends on that name and the old classes only: not on the
    other new names. (So two new names are as far apart as their meanings put them.)

    Args:
        t_new: text embeddings `[M, d]` of the new names.
        t: text embeddings `[C, d]` of the old classes.
        w: their optimised embeddings `[C, d]`, rows as in `t`.
        alpha, margin, semantic, center: as `w` was optimised. By default they are read from
            `w`, where `optimize_class_embeddings` recorded them, else its defaults hold.
        learning_rate, tolerance, max_steps: as in `optimize_class_embeddings`.
        on_progress: called with the number of new names placed so far, and of all.

    Returns:
        The new embeddings `[M, d]`, with names if `t_new` has names. A new name whose text
        embedding is an old class's, to the precision of text encoders (1e-4), gets exactly that
        class's embedding.

    Raises:
        EzavError: rows or dimensions that do not match, fewer than two old classes.

    Example:
        >>> import torch
        >>> from ezav.classes import optimize_class_embeddings
        >>> t = torch.nn.functional.normalize(torch.randn(12, 8) + 2, dim=1)
        >>> w = optimize_class_embeddings(t[:10]).embeddings
        >>> both = extend_class_embeddings(t[10:], t[:10], w)
        >>> torch.equal(both[1:], extend_class_embeddings(t[11:], t[:10], w))
        True
    """
    new, text, made = _matching(t_new, t, w)
    given = {"alpha": alpha, "margin": margin, "semantic": semantic, "center": center}
    frozen, tasks = _prepared(new, text, made, given)

    def place(task: _Task) -> tuple[Tensor, int, bool]:
        return frozen.place(task, learning_rate, tolerance, max_steps)

    vectors = _placed(new.names, tasks, place, len(text) > _ONE_AT_A_TIME, on_progress)
    if isinstance(t_new, ClassEmbeddings):
        return t_new.with_vectors(vectors, extended=made.settings.get("optimized") or True)
    return vectors


def _matching(
    t_new: ClassEmbeddings | Tensor, t: ClassEmbeddings | Tensor, w: ClassEmbeddings | Tensor
) -> tuple[ClassEmbeddings, ClassEmbeddings, ClassEmbeddings]:
    """The three as class embeddings, `t` in the order of `w`, checked against each other."""
    new, text, made = as_class_embeddings(t_new), as_class_embeddings(t), as_class_embeddings(w)
    if text.vectors.shape != made.vectors.shape:
        raise EzavError(
            f"{len(text)} text embeddings of dimension {text.dim}, but {len(made)} class "
            f"embeddings of dimension {made.dim}",
            "give those that the class embeddings were made from",
        )
    if isinstance(t, ClassEmbeddings) and isinstance(w, ClassEmbeddings) and t.names != w.names:
        text = text.select(made.names)
    if new.dim != text.dim:
        raise EzavError(
            f"the new names' text embeddings have dimension {new.dim}, the old ones' {text.dim}",
            "use the same text encoder",
        )
    if len(text) < 2:
        raise EzavError("there is one old class only", "two or more are needed to extend")
    return new, text, made


def _prepared(
    new: ClassEmbeddings, text: ClassEmbeddings, made: ClassEmbeddings, given: dict[str, Any]
) -> tuple[_Frozen, list[_Task]]:
    """The old classes and the new ones, by the settings given, else recorded, else the default."""
    record = made.settings.get("optimized", {})

    def chosen(name: str) -> Any:
        default = False if name == "center" else getattr(ObjectiveSettings(), name)
        return record.get(name, default) if given[name] is None else given[name]

    settings = ObjectiveSettings(
        alpha=chosen("alpha"),
        margin=chosen("margin"),
        semantic=chosen("semantic"),
        reduction=record.get("reduction", ObjectiveSettings.reduction),
    )
    old_t, new_t = text.vectors, new.vectors
    doubles = _doubles(new_t, old_t)
    if chosen("center"):
        new_t = centred(new_t, old_t, new.names)
        old_t = centred(old_t, old_t, text.names)
    same = all(given[name] is None for name in ("margin", "semantic", "center"))
    scales = scales_of(record["scales"]) if same and "scales" in record else None
    with one_thread():
        frozen = _Frozen.of(old_t, made.vectors, settings, scales)
        return frozen, [frozen.task(*one) for one in zip(new_t, doubles, strict=True)]


def _placed(
    names: tuple[str, ...],
    tasks: Sequence[_Task],
    place: Callable[[_Task], tuple[Tensor, int, bool]],
    one_at_a_time: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Tensor:
    """The new embeddings `[M, d]`; a warning for each that has not converged."""
    threads = min(torch.get_num_threads(), len(tasks))
    placed = []
    with one_thread():
        # One name's result cannot depend on another's, nor on how many threads there are.
        spread = map if threads == 1 or one_at_a_time else workers(threads).map
        for one in spread(place, tasks):
            placed.append(one)
            if on_progress is not None:
                on_progress(len(placed), len(tasks))
    for name, (_, steps, converged) in zip(names, placed, strict=True):
        if not converged:
            warnings.warn(
                f"the embedding of the new name '{name}' has not converged in {steps} steps; "
                f"raise `max_steps`",
                NotConverged,
                stacklevel=3,
            )
    return torch.stack([row for row, _, _ in placed])


def _doubles(new: Tensor, old: Tensor) -> list[int | None]:
    """For each new text embedding, the old class that has the same, if there is one."""
    # Of the texts as they are: taking off the mean may part them many times further.
    old = exact_unit(old)
    found: list[int | None] = []
    for vector in exact_unit(new):
        distance, row = sphere_distances(vector[None], old)[0].min(dim=0)
        found.append(int(row) if distance <= COINCIDENT else None)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class _Task:
    """A new class: its text embedding, a guess to start from, its text distances, its double."""

    text: np.ndarray
    start: np.ndarray
    d_new: np.ndarray
    same: int | None


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Old classes, prepared once for any number of new ones.

    `w` float32 and `exact_t` float64 `[C, d]`; distances `d_t`, `d_w` float64 `[C, C]`;
    `shift` float64 `[C, d]`, with which a new text embedding predicts how far it will move.
    """

    exact_t: Tensor
    w: Tensor
    shift: Tensor
    d_t: np.ndarray
    d_w: np.ndarray
    nearest: np.ndarray
    settings: ObjectiveSettings
    scales: Scales

    @classmethod
    def of(
        cls, t: Tensor, w: Tensor, settings: ObjectiveSettings, scales: Scales | None
    ) -> _Frozen:
        exact_t, exact_w = exact_unit(t), exact_unit(w)
        if scales is None:
            scales = Objective(Subspace(t).start, settings, target=text_order(t)).scales
        # Ridge regression of the moves w - t on t; rows have unit length, and so has the ridge.
        gram = exact_t @ exact_t.T
        gram.diagonal().add_(1.0)
        shift = torch.linalg.solve(gram, exact_w - exact_t)
        d_t, d_w = sphere_distances(exact_t, exact_t), sphere_distances(exact_w, exact_w)
        nearest = d_w.clone().fill_diagonal_(separation_bound(2, 2)).amin(dim=1).numpy()
        return cls(exact_t, w, shift, d_t.numpy(), d_w.numpy(), nearest, settings, scales)

    def task(self, vector: Tensor, same: int | None) -> _Task:
        """What there is to know about one new text embedding float32 `[d]`, and its double."""
        exact = vector.double() / vector.double().norm()
        start = exact + self.exact_t @ exact @ self.shift
        start = exact if bool(start.norm() < 1e-3) else start / start.norm()
        d_new = sphere_distances(exact[None], self.exact_t)[0].numpy()
        return _Task(text=exact.numpy(), start=start.numpy(), d_new=d_new, same=same)

    def place(
        self, task: _Task, rate: float, tolerance: float, max_steps: int
    ) -> tuple[Tensor, int, bool]:
        """The embedding float32 `[d]` of one new class; in numpy, for torch has its own threads."""
        from ezav.classes.extend_cpu import (
            Breaks,
            Descent,
            NewClass,
            OldClasses,
            Weights,
            place_one,
        )

        if task.same is not None:
            return self.w[task.same], 0, True
        d_new = task.d_new
        classes = len(d_new)
        order = np.argsort(d_new)
        tied = np.zeros(classes, bool)
        tied[1:] = np.diff(d_new[order]) == 0
        ranked = self.settings.semantic == "ranking"
        semantic = (1 - self.settings.alpha) / self.scales.semantic
        weights = Weights(
            margin=self.settings.margin,
            ranking=semantic / (classes * (classes - 1)) if ranked else 0.0,
            proximity=0.0 if ranked else semantic,
            separation=self.settings.alpha / self.scales.separation,
        )
        point, steps, converged = place_one(
            NewClass(task.start, task.text, order.astype(np.int32), tied),
            OldClasses(self.w.numpy(), self.nearest),
            Breaks(*(self._breaks(d_new) if ranked else _NO_BREAKS)),
            weights,
            Descent(rate, tolerance, max_steps),
        )
        return torch.from_numpy(point).float(), steps, converged

    def _breaks(self, d_new: np.ndarray) -> tuple[np.ndarray, ...]:
        """For each old anchor: where its cost changes slope as the new class moves away.

        In text the new class is farther than some others (sign +1) and nearer than the rest (-1);
        with x its distance to the anchor, such a pair costs `max(0, m - sign (x - d_w))` and
        breaks at `d_w + sign m`.
        """
        others = ~np.eye(len(d_new), dtype=bool)
        sign = np.sign(d_new[:, None] - self.d_t)
        breaks = self.d_w + sign * self.settings.margin
        counts = (sign > 0) & others
        farther = counts.sum(axis=1).astype(np.float64)
        farther_sum = np.where(counts, breaks, 0.0).sum(axis=1)
        # Ties cost a constant, and an anchor is not compared with itself: no break there.
        breaks[(sign == 0) | ~others] = np.inf
        breaks.sort(axis=1)
        return breaks, breaks.cumsum(axis=1), farther, farther_sum


_NO_BREAKS = (np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0))
