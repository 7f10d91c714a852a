"""Class embedding optimization (CEO), equation (4): spread the classes, keep their semantics."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Unpack

import torch
from torch import Tensor

from ezav.classes.diagnostics import Diagnostics, diagnose
from ezav.classes.embeddings import ClassEmbeddings, unit_rows
from ezav.classes.geometry import Subspace, part_coincident, points, text_order
from ezav.classes.objective import Objective, Scales
from ezav.classes.settings import CeoChanges, CeoSettings
from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.threads import one_thread

# The step size is halved when so many steps brought next to nothing; momentum needs about ten
# steps to turn round.
_WINDOW = 10
_SMALLEST_STEP = 1 / 128
# A step on so few classes takes about a millisecond: threads would mostly wait for each other.
_ONE_THREAD_CLASSES = 512
_MOMENTUM = 0.9
_FORCE_MEMORY = 0.99


class NotConverged(UserWarning):
    """The optimization ended at its step limit, not at its goal."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How the objective went, one number a step.

    Attributes:
        loss: the whole of (4), as scaled.
        semantic: the mean semantic term (a triplet's, or a class's).
        nearest: the mean distance to the nearest class.
    """

    loss: tuple[float, ...]
    semantic: tuple[float, ...]
    nearest: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class OptimizedClassEmbeddings:
    """The result of :func:`optimize_class_embeddings`.

    Attributes:
        embeddings: the optimised embeddings, with names and settings.
        text: the text embeddings they come from.
        history: the objective at every step.
        converged: the stopping rule was met within the allowed steps.
        reason: why it stopped, in words.
        seconds: how long it took.
    """

    embeddings: ClassEmbeddings
    text: ClassEmbeddings
    history: Progress
    converged: bool
    reason: str
    seconds: float

    @property
    def vectors(self) -> Tensor:
        """float32 `[C, d]`, unit rows, in the order of the text embeddings."""
        return self.embeddings.vectors

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.embeddings.names

    @property
    def steps(self) -> int:
        """Evaluations of the objective."""
        return len(self.history.loss)

    @property
    def diagnostics(self) -> Diagnostics:
        """What was gained and what it cost (worked out on demand; exact)."""
        return diagnose(self.embeddings, self.text)

    def save(self, path: str | Path) -> None:
        """Write the embeddings, their names, the text encoder and the settings (safetensors)."""
        self.embeddings.save(path)


def optimize_class_embeddings(
    t: ClassEmbeddings | Tensor,
    settings: CeoSettings | None = None,
    *,
    seed: int = 0,
    device: str | torch.device | Literal["auto"] = "cpu",
    **changes: Unpack[CeoChanges],
) -> OptimizedClassEmbeddings:
    """Learn class embeddings `w` from text embeddings `t`: minimise `(1-α) L_sem + α L_sep`, (4).

    `w` starts at `t` and stays on the unit sphere. The descent is Adam's with one second moment
    for each class, so that turning all embeddings or listing the classes in another order turns
    or reorders the result and does nothing else. The step size is halved whenever ten steps
    gained less than `tolerance` of the progress so far, and the descent has converged when ten
    steps of the seventh half gained as little.

    Args:
        t: text embeddings of all classes of the stage, seen and unseen.
        settings: what is minimised and how; its fields explain themselves.
        seed: for sampled triplets, and for the directions in which `part_equal` parts classes.
        device: where to work: `cpu`, `cuda`, or `auto`.
        changes: fields that differ from `settings`, by name: `alpha=0.3`.

    Returns:
        The embeddings with their history and diagnostics. One class is returned as it is. Classes
        with one text embedding are optimised as one class and get one embedding, unless
        `part_equal` is set. A :class:`NotConverged` warning is given where `max_steps` did not
        suffice.

    Raises:
        EzavError: a zero or non-finite vector, repeated names, dimension 1, a setting out of range.
        UnavailableError: a device that this machine lacks.

    Example:
        >>> import torch
        >>> t = torch.nn.functional.normalize(torch.randn(12, 8) + 2, dim=1)
        >>> done = optimize_class_embeddings(t, alpha=0.5)
        >>> done.converged, done.history.nearest[-1] > done.history.nearest[0]
        (True, True)
    """
    found = replace(settings or CeoSettings(), **changes)
    text = as_class_embeddings(t)
    if text.dim == 1:
        raise EzavError(
            "class embeddings of dimension 1 are all 1 or -1 and cannot be optimised",
            "use a text encoder with more dimensions",
        )
    done = _optimized(text, found, seed, choose_device(device))
    if not done.converged:
        warnings.warn(
            f"class embedding optimization of {len(text)} classes has not converged: "
            f"{done.reason}; raise `max_steps` (now {found.max_steps}) or `tolerance` (now "
            f"{found.tolerance:g})",
            NotConverged,
            stacklevel=2,
        )
    return done


def _optimized(
    text: ClassEmbeddings, settings: CeoSettings, seed: int, device: str
) -> OptimizedClassEmbeddings:
    begin = time.perf_counter()
    vectors = text.vectors.detach().to(device)
    point = points(vectors)  # of the texts as they are: taking off the mean may part them further
    if settings.center:
        vectors = centred(vectors, vectors, text.names)
    if not settings.part_equal:
        first: dict[int, int] = {}
        for row, number in enumerate(point.tolist()):
            first.setdefault(number, row)
        vectors = vectors[list(first.values())]
    # Coinciding classes are parted to begin with, but the order to keep is the text's own.
    parted = part_coincident(vectors, text.names, seed) if settings.part_equal else vectors
    space = Subspace(parted)
    objective = Objective(space.start, settings, seed, target=text_order(vectors))
    if len(vectors) == 1:
        w, history, converged, reason = space.start, Progress((), (), ()), True, "one class"
    else:
        with one_thread(when=len(vectors) <= _ONE_THREAD_CLASSES):
            w, history, converged, reason = _descend(
                objective,
                space.start.float(),
                settings.learning_rate,
                settings.tolerance,
                settings.max_steps,
            )
    record = {
        **asdict(settings),
        "seed": seed,
        "scales": asdict(objective.scales),
        "steps": len(history.loss),
        "converged": converged,
        "reason": reason,
    }
    rows = space.back(w)
    made = text.with_vectors((rows if settings.part_equal else rows[point]).cpu(), optimized=record)
    seconds = time.perf_counter() - begin
    return OptimizedClassEmbeddings(made, text, history, converged, reason, seconds)


def _descend(
    objective: Objective, w: Tensor, rate: float, tolerance: float, max_steps: int
) -> tuple[Tensor, Progress, bool, str]:
    """Descend from `w` by rotation-equivariant Adam; returns the best point met.

    Sampled objectives are noisy: they are judged by the mean over a window instead of the best.
    """
    smallest = rate * _SMALLEST_STEP
    noisy = objective.settings.ranking == "sampled" and objective.settings.semantic == "ranking"
    losses: list[float] = []
    semantic: list[float] = []
    nearest: list[float] = []
    momentum = torch.zeros_like(w)
    force = w.new_zeros(len(w), 1)
    best, best_w = float("inf"), w
    mark = first = 0.0
    converged = False
    for step in range(1, max_steps + 1):
        here = objective(w)
        losses.append(here.loss)
        semantic.append(here.semantic)
        nearest.append(here.nearest)
        if here.loss < best and not noisy:
            best, best_w = here.loss, w
        if step == 1:
            mark = first = best = here.loss
        elif step % _WINDOW == 1:
            if noisy:
                best, best_w = sum(losses[-_WINDOW:]) / _WINDOW, w
            if mark - best <= tolerance * max(first - best, 0.0):
                rate /= 2
                if rate < smallest:
                    converged = True
                    break
            mark = min(mark, best)
        momentum.lerp_(here.gradient, 1 - _MOMENTUM)
        force.lerp_(here.gradient.square().sum(dim=1, keepdim=True), 1 - _FORCE_MEMORY)
        size = (force / (1 - _FORCE_MEMORY**step)).sqrt()
        stride = rate / (1 - _MOMENTUM**step) * momentum
        w = w - torch.where(size > 0, stride / size, 0)
        w = w / w.norm(dim=1, keepdim=True)
    reason = (
        f"{_WINDOW} steps of {2 * rate:.1g} radians gain less than {tolerance:g} of the progress"
        if converged
        else f"still gaining after {max_steps} steps"
    )
    history = Progress(tuple(losses), tuple(semantic), tuple(nearest))
    return best_w, history, converged, reason


def as_class_embeddings(t: ClassEmbeddings | Tensor) -> ClassEmbeddings:
    """Bare vectors `[C, d]` get the names "0", "1", …; embeddings with names pass through.

    Example:
        >>> as_class_embeddings(torch.eye(3)).names
        ('0', '1', '2')
    """
    if isinstance(t, ClassEmbeddings):
        return t
    vectors = unit_rows(t)
    return ClassEmbeddings(tuple(map(str, range(len(vectors)))), vectors)


def centred(vectors: Tensor, reference: Tensor, names: tuple[str, ...]) -> Tensor:
    """Unit rows of `vectors` less the mean of `reference` (the classes optimised on).

    Raises:
        EzavError: a vector is the mean itself, and has no direction left.

    Example:
        >>> centred(torch.eye(2), torch.eye(2), ("dog", "cat"))
        tensor([[ 0.7071, -0.7071],
                [-0.7071,  0.7071]])
        >>> centred(torch.eye(2)[:1], torch.eye(2)[:1], ("dog",))
        Traceback (most recent call last):
        ezav.errors.EzavError: centring leaves nothing of class 'dog'; optimise it without centring
    """
    moved = vectors.double() - reference.double().mean(dim=0)
    length = moved.norm(dim=1)
    if bool((length < 1e-6).any()):
        name = names[int(length.argmin())]
        raise EzavError(
            f"centring leaves nothing of class '{name}'", "optimise it without centring"
        )
    return unit_rows(moved.float(), names)


def scales_of(settings: dict[str, float]) -> Scales:
    """The scales that an optimization recorded.

    Example:
        >>> scales_of({"semantic": 0.5, "separation": 2.0, "alpha": 0.3}).separation
        2.0
    """
    return Scales(settings["semantic"], settings["separation"])
