"""Bilinear compatibility of clips and class embeddings: what ALE, DeViSE and SJE share.

They differ in the ranking loss alone.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.joint_input import JointInput, Normalization
from ezav.methods.common.losses import summed
from ezav.methods.common.scoring import negative_distance


@dataclass(frozen=True, kw_only=True, slots=True)
class CompatibilityConfig:
    """Hyper-parameters of ALE, DeViSE and SJE; the defaults are those of AVCA's comparison."""

    dropout: float = 0.2
    """Use this dropout on the clip's vector and, drawn apart, on the class embeddings."""
    margin: float = 0.1
    """Ask the right class to win by this margin."""
    normalization: Normalization = "per_modality"
    """Give each modality unit length, or both side by side ('joint'), or leave features as they are
    ('none'); AVCA's comparison has 'joint' for cls features, 'none' for main."""


class BilinearMap(nn.Module):
    """Scores `s_ic = (W x_i) . w_c`, W being `[text_dim, dim]` without bias.

    Example:
        >>> import torch
        >>> BilinearMap(3, 4, dropout=0.0)(torch.ones(2, 3), torch.ones(5, 4)).shape
        torch.Size([2, 5])
    """

    def __init__(self, dim: int, text_dim: int, dropout: float) -> None:
        super().__init__()
        self.map = nn.Linear(dim, text_dim, bias=False)
        self.dropout = Dropout(dropout)

    def embed(self, x: Tensor) -> Tensor:
        """Clips `[B, dim]` in the space of the class embeddings, `[B, text_dim]`."""
        embedded: Tensor = self.map(self.dropout(x))
        return embedded

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        scores: Tensor = self.embed(x) @ self.dropout(classes).T
        return scores


def hinges(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """`h_ic = max(0, margin + s_ic - s_iy)`, 0 for the right class; `[B, C]`.

    Example:
        >>> import torch
        >>> hinges(torch.tensor([[1.0, 0.95, 0.5]]), torch.tensor([0]), 0.1)
        tensor([[0.0000, 0.0500, 0.0000]])
    """
    own = scores.gather(1, labels[:, None])
    return (margin + scores - own).clamp(min=0).scatter(1, labels[:, None], 0.0)


class Compatibility(Method):
    """A linear map from clips to class embeddings, trained by a ranking of dot products.

    It scores by minus the distance, as in AVCA's comparison. Class embeddings of unit length are
    ranked alike by both, until calibration: that shifts distances.
    """

    Config = CompatibilityConfig
    config: CompatibilityConfig

    def __init__(self, config: CompatibilityConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.input = JointInput(dims.visual, dims.audio, config.normalization)
        self.network = BilinearMap(self.input.dim, dims.text, config.dropout)

    @abstractmethod
    def ranking_loss(self, violations: Tensor) -> Tensor:
        """The scalar loss of hinges `[B, C]`."""

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the stand-ins for a missing modality."""
        self.input.fit(audio, visual)

    def loss(self, batch: Batch) -> Loss:
        """The ranking loss over all training classes."""
        scores = self.network(self.input(batch.audio, batch.visual), batch.class_embeddings)
        violations = hinges(scores, batch.labels, self.config.margin)
        return summed({"ranking": self.ranking_loss(violations)})

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|W x - w|`, `[N, C]`."""
        return negative_distance(self.network.embed(self.input(audio, visual)), class_embeddings)
