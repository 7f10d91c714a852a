"""ESZSL: a bilinear map with two ridge penalties, solved in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, HeldOut, Method
from ezav.methods.common.card import Card
from ezav.methods.common.joint_input import JointInput, Normalization
from ezav.methods.eszsl.solution import BilinearRidge, RidgeTooSmall
from ezav.metrics import seen_unseen_curve

EXPONENTS = tuple(range(-3, 4))
"""Where validation looks for the two penalties: 10 to these powers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ESZSLConfig:
    """Hyper-parameters of ESZSL."""

    alpha: float | None = None
    """Set the ridge on the features to 10 to this power; None learns it on validation, in -3 ...
    3."""
    gamma: float | None = None
    """Set the ridge on the class embeddings to 10 to this power; None learns it on validation."""
    targets: Literal["one_hot", "signed"] = "one_hot"
    """Regress on these targets: 1 for the right class, and 0 or -1 for the others."""
    balanced: bool = False
    """Let every class weigh the same, however many clips it has."""
    normalization: Normalization = "per_modality"
    """Give each modality unit length, or both side by side, or leave features as they are."""

    def __post_init__(self) -> None:
        for name in ("alpha", "gamma"):
            value = getattr(self, name)
            if value is not None and not -100 <= value <= 100:
                raise EzavError(f"{name} {value} is outside [-100, 100]", "it is a power of 10")


class ESZSL(Method):
    """Scores `x^T V w` with V in closed form; nothing is trained by the loop.

    Example:
        >>> method = ESZSL(ESZSLConfig(alpha=0, gamma=0), Dims(audio=2, visual=2, text=3))
        >>> clips = Tokens.pooled(torch.eye(2)), Tokens.pooled(torch.eye(2))
        >>> method.prepare(*clips, torch.tensor([0, 1]), torch.eye(3)[:2])
        >>> method.scores(*clips, torch.eye(3)).argmax(dim=1).tolist()
        [0, 1]
    """

    Config = ESZSLConfig
    config: ESZSLConfig
    trainable = False
    weight_: Tensor
    exponents_: Tensor
    from_validation: ClassVar[tuple[str, ...]] = ("exponents_",)
    card: ClassVar[Card] = Card(
        title="ESZSL",
        paper="Romera-Paredes, Torr, ICML 2015",
        year=2015,
        parity="a numerical minimiser of the paper's objective",
    )

    def __init__(self, config: ESZSLConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.input = JointInput(dims.visual, dims.audio, config.normalization)
        self.register_buffer("weight_", torch.zeros(self.input.dim, dims.text))
        start = [float(x or 0) for x in (config.alpha, config.gamma)]
        self.register_buffer("exponents_", torch.tensor(start))
        self._problem: BilinearRidge | None = None

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Read the whole training set, and solve for V at the penalties known so far.

        Raises:
            EzavError: the config fixes penalties too small for a solution.
        """
        self.input.fit(audio, visual)
        self._problem = BilinearRidge.of(
            self.input(audio, visual),
            labels,
            F.normalize(classes, dim=1),
            signed=self.config.targets == "signed",
            balanced=self.config.balanced,
        )
        try:
            self._solve()
        except RidgeTooSmall:
            if None not in (self.config.alpha, self.config.gamma):
                raise
            self.weight_.fill_(math.nan)  # no guess: validation looks at larger penalties too

    def learn_on_validation(
        self, score: Callable[[Method], Tensor], targets: Tensor, seen: Tensor
    ) -> None:
        """Set the penalties that the config leaves open to those of the best HM over gamma.

        Penalties too small for a solution are passed over.

        Raises:
            EzavError: none of them has a solution.
        """
        alpha, gamma = self.config.alpha, self.config.gamma
        if self._problem is None or (alpha is not None and gamma is not None):
            return
        best, best_hm = self.exponents_.tolist(), -1.0
        alphas, gammas = (EXPONENTS if x is None else (x,) for x in (alpha, gamma))
        for a, g, weight in _solutions(self._problem, alphas, gammas):
            self.weight_.copy_(weight)
            hm = seen_unseen_curve(score(self), targets, seen).best_hm
            if hm > best_hm + 1e-12:
                best, best_hm = [a, g], hm
        self.take_over({"exponents_": torch.tensor(best)})

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        """Set the open penalties to those of the best mean HM over the class folds.

        Raises:
            EzavError: no pair of penalties has a solution in every fold.
        """
        alpha, gamma = self.config.alpha, self.config.gamma
        if alpha is not None and gamma is not None:
            return
        alphas, gammas = (EXPONENTS if x is None else (x,) for x in (alpha, gamma))
        found: dict[tuple[float, float], list[float]] = {}
        for fold in folds:
            method = fold.method
            if not isinstance(method, ESZSL) or method._problem is None:
                raise TypeError("a fold of another method, or not prepared")
            for a, g, weight in _solutions(method._problem, alphas, gammas):
                method.weight_.copy_(weight)
                curve = seen_unseen_curve(fold.score(method), fold.clips.labels.cpu(), fold.seen)
                found.setdefault((a, g), []).append(curve.best_hm)
        whole = {pair: sum(hms) for pair, hms in found.items() if len(hms) == len(folds)}
        if not whole:
            raise EzavError("no penalties of ESZSL have a solution in every class fold")
        self.take_over({"exponents_": torch.tensor(max(whole, key=lambda pair: whole[pair]))})

    def take_over(self, learned: dict[str, Tensor]) -> None:
        """The penalties that stage 1 learned; V follows."""
        super().take_over(learned)
        self._solve()

    def _solve(self) -> None:
        if self._problem is not None:
            alpha, gamma = (10.0**x for x in self.exponents_.tolist())
            solved = self._problem.solved_for_features(alpha)
            self.weight_.copy_(self._problem.solution(solved, gamma))

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`x^T V w`, `[N, C]`, class embeddings at unit length."""
        scores: Tensor = (
            self.input(audio, visual) @ self.weight_ @ F.normalize(class_embeddings, dim=1).T
        )
        return scores


def _solutions(
    problem: BilinearRidge, alphas: Iterable[float], gammas: Iterable[float]
) -> Iterator[tuple[float, float, Tensor]]:
    """Each pair of exponents that has a solution, and its V."""
    for alpha in alphas:
        try:
            solved = problem.solved_for_features(10.0**alpha)
        except RidgeTooSmall:
            continue
        for gamma in gammas:
            with suppress(RidgeTooSmall):
                yield float(alpha), float(gamma), problem.solution(solved, 10.0**gamma)


METHOD = ESZSL
