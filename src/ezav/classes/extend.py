"""Embeddings for names typed after training: the same objective, with the old classes frozen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

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

if TYPE_CHECKING:  # numba takes a second to import
    from ezav.classes.extend_cpu import Descent, OldClasses, Weights

# With more old classes than this, new ones are placed one by one, to bound the memory.
_ONE_AT_A_TIME = 3_000
_AT_ONCE = 16
"""New names that a thread places before it tells."""


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
    from ezav.classes.extend_cpu import Descent

    frozen, unit, doubles = _prepared(new, text, made, given)
    descent = Descent(learning_rate, tolerance, max_steps)
    vectors = _placed(new.names, frozen, unit, doubles, descent, on_progress)
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
) -> tuple[_Frozen, Tensor, Tensor]:
    """The old classes, the new ones' texts float64 `[M, d]`, and the rows of :func:`_doubles`.

    By the settings given, else recorded, else the default.
    """
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
        return _Frozen.of(old_t, made.vectors, settings, scales), exact_unit(new_t), doubles


def _placed(
    names: tuple[str, ...],
    frozen: _Frozen,
    texts: Tensor,
    doubles: Tensor,
    descent: Descent,
    on_progress: Callable[[int, int], None] | None,
) -> Tensor:
    """The new embeddings float32 `[M, d]`; a warning for each that has not converged."""
    vectors = frozen.w[doubles.clamp(min=0)]
    rows = (doubles < 0).nonzero().flatten()
    parts = torch.split(rows, _AT_ONCE)
    done = len(texts) - len(rows)
    threads = max(1, min(torch.get_num_threads(), len(parts)))
    with one_thread():
        # One name's result cannot depend on another's, nor on how many threads there are.
        alone = threads == 1 or len(frozen.w) > _ONE_AT_A_TIME
        spread = map if alone else workers(threads).map
        for part, (found, steps, converged) in zip(
            parts, spread(lambda part: frozen.place(texts[part], descent), parts)
        ):
            vectors[part] = torch.from_numpy(found).float()
            for row, taken in zip(part[~converged].tolist(), steps[~converged]):
                warnings.warn(
                    f"the embedding of the new name '{names[row]}' has not converged in {taken} "
                    f"steps; raise `max_steps`",
                    NotConverged,
                    stacklevel=3,
                )
            done += len(part)
            if on_progress is not None:
                on_progress(done, len(texts))
    return vectors


def _doubles(new: Tensor, old: Tensor) -> Tensor:
    """For each new text embedding the old class that has the same, long `[M]`; -1 without one."""
    # Of the texts as they are: taking off the mean may part them many times further.
    old, found = exact_unit(old), []
    for part in torch.split(exact_unit(new), 1024):
        distance, row = sphere_distances(part, old).min(dim=1)
        found.append(torch.where(distance <= COINCIDENT, row, -1))
    return torch.cat(found)


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Old classes, prepared once for any number of new ones; `w` float32 `[C, d]`."""

    w: Tensor
    old: OldClasses
    weights: Weights

    @classmethod
    def of(
        cls, t: Tensor, w: Tensor, settings: ObjectiveSettings, scales: Scales | None
    ) -> _Frozen:
        from ezav.classes.extend_cpu import OldClasses, Weights

        exact_t, exact_w = exact_unit(t), exact_unit(w)
        if scales is None:
            scales = Objective(Subspace(t).start, settings, target=text_order(t)).scales
        # Ridge regression of the moves w - t on t; rows have unit length, and so has the ridge.
        gram = exact_t @ exact_t.T
        gram.diagonal().add_(1.0)
        shift = torch.linalg.solve(gram, exact_w - exact_t)
        ranked = settings.semantic == "ranking"
        near_w, near_t = _nearest_first(exact_t, exact_w) if ranked else (exact_w[:, :0],) * 2
        d_w = sphere_distances(exact_w, exact_w)
        nearest = d_w.fill_diagonal_(separation_bound(2, 2)).amin(dim=1)
        parts = exact_w, exact_t, shift, exact_w @ exact_w.T, near_w, near_t, nearest
        semantic = (1 - settings.alpha) / scales.semantic
        weights = Weights(
            margin=settings.margin,
            ranking=semantic / (len(w) * (len(w) - 1)) if ranked else 0.0,
            proximity=0.0 if ranked else semantic,
            separation=settings.alpha / scales.separation,
        )
        return cls(w, OldClasses(*(part.contiguous().numpy() for part in parts)), weights)

    def place(self, texts: Tensor, descent: Descent) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of new texts: embeddings, steps, whether each converged; not torch, which has threads."""
        from ezav.classes.extend_cpu import place_all

        found: tuple[np.ndarray, np.ndarray, np.ndarray] = place_all(
            texts.numpy(), self.old, self.weights, descent
        )
        return found


def _nearest_first(t: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """For each class the distances `[C, C-1]` to the others in `w`, nearest first, and in `t`."""
    d_w = sphere_distances(w, w).fill_diagonal_(float("inf"))
    near, order = d_w.sort(dim=1)
    return near[:, :-1], sphere_distances(t, t).gather(1, order[:, :-1])
