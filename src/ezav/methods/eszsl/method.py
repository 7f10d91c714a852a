"""ESZSL: a bilinear map with two ridge penalties, solved in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.common.card import Card
from ezav.methods.common.joint_input import JointInput, Normalization
from ezav.methods.eszsl.solution import bilinear_ridge


@dataclass(frozen=True, kw_only=True, slots=True)
class ESZSLConfig:
    """Hyper-parameters of ESZSL; the two exponents are to be searched in -3 ... 3."""

    alpha: float = 0.0
    """Ridge on the features: 10 to this power."""
    gamma: float = 0.0
    """Ridge on the class embeddings: 10 to this power."""
    targets: Literal["one_hot", "signed"] = "one_hot"
    """Right class 1, others 0; or others -1."""
    balanced: bool = False
    """Every class weighs the same, however many clips it has."""
    normalization: Normalization = "per_modality"
    """Unit length for each modality, for both side by side, or features as they are."""


class ESZSL(Method):
    """Scores `x^T V w` with V in closed form; nothing is trained by the loop.

    Example:
        >>> method = ESZSL(ESZSLConfig(), Dims(audio=2, visual=2, text=3))
        >>> clips = Tokens.pooled(torch.eye(2)), Tokens.pooled(torch.eye(2))
        >>> method.prepare(*clips, torch.tensor([0, 1]), torch.eye(3)[:2])
        >>> method.scores(*clips, torch.eye(3)).argmax(dim=1).tolist()
        [0, 1]
    """

    Config = ESZSLConfig
    config: ESZSLConfig
    trainable = False
    weight_: Tensor
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

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Solve for V on the whole training set."""
        self.input.fit(audio, visual)
        self.weight_.copy_(
            bilinear_ridge(
                self.input(audio, visual),
                labels,
                F.normalize(classes, dim=1),
                feature_ridge=10**self.config.alpha,
                class_ridge=10**self.config.gamma,
                signed=self.config.targets == "signed",
                balanced=self.config.balanced,
            )
        )

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`x^T V w`, `[N, C]`, class embeddings at unit length."""
        return self.input(audio, visual) @ self.weight_ @ F.normalize(class_embeddings, dim=1).T


METHOD = ESZSL
