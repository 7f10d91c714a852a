"""TCaF's heads and its three losses, shared by TCaF, ClipClap and the baselines of the former."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.scoring import negative_distance


class AlignmentHead(nn.Module):
    """Sample and class text meet in a small space, and both are decoded to the text.

    Args:
        sample_dim: size of a sample's vector o.
        text_dim: size of the class text w.
        hidden_dim: hidden size of the sample's projection and decoder.
        out_dim: size of the shared space.
        dropout: in the sample's projection and decoder.
        text_dropout: in the text's projection and decoder.

    Example:
        >>> import torch
        >>> sizes = {"hidden_dim": 4, "out_dim": 3}
        >>> head = AlignmentHead(6, 5, **sizes, dropout=0.1, text_dropout=0.1).eval()
        >>> head.scores(torch.ones(2, 6), torch.ones(7, 5)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        sample_dim: int,
        text_dim: int,
        *,
        hidden_dim: int,
        out_dim: int,
        dropout: float,
        text_dropout: float,
    ) -> None:
        super().__init__()
        self.sample_projection = EmbeddingNet(
            sample_dim, out_dim, hidden_dim=hidden_dim, dropout=dropout
        )
        self.sample_decoder = EmbeddingNet(
            out_dim, text_dim, hidden_dim=hidden_dim, dropout=dropout
        )
        self.text_projection = EmbeddingNet(text_dim, out_dim, dropout=text_dropout)
        self.text_decoder = EmbeddingNet(out_dim, text_dim, dropout=text_dropout)

    def forward(self, sample: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`o` `[B, sample_dim]` and `w` `[B, text_dim]` to theta_o, theta_w, rho_o, rho_w."""
        theta_o, theta_w = self.embed(sample, text)
        return theta_o, theta_w, self.sample_decoder(theta_o), self.text_decoder(theta_w)

    def loss_parts(
        self,
        sample: Tensor,
        text: Tensor,
        class_text: Tensor,
        labels: Tensor,
        target: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The three losses, each of weight 1.

        `CE(theta_o Theta^T, y)`, `MSE(theta_o, theta_w)` and
        `MSE(target, rho_o) + MSE(target, rho_w)`; MSE is the mean over clips and coordinates.

        Args:
            sample: `[B, sample_dim]`.
            text: `[B, text_dim]`, the text of each sample's class.
            class_text: `[C, text_dim]`, the training classes. They pass the projection as a
                batch of their own, as in the authors' code.
            labels: long `[B]`, rows of `class_text`.
            target: what the decoders aim at; by default `text`.
        """
        theta_o, theta_w, rho_o, rho_w = self(sample, text)
        logits = theta_o @ self.text_projection(class_text).T
        target = text if target is None else target
        return {
            "cross_entropy": F.cross_entropy(logits, labels),
            **agreement(theta_o, theta_w, rho_o, rho_w, target),
        }

    def embed(self, sample: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, sample_dim]` and `[C, text_dim]` to theta_o and theta_w, in the shared space."""
        return self.sample_projection(sample), self.text_projection(text)

    def scores(self, sample: Tensor, class_text: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        return negative_distance(*self.embed(sample, class_text))


def agreement(
    theta_o: Tensor, theta_w: Tensor, rho_o: Tensor, rho_w: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """The regression and the reconstruction loss of a head's outputs, all `[B, ...]`."""
    return {
        "regression": F.mse_loss(theta_o, theta_w),
        "reconstruction": F.mse_loss(rho_o, target) + F.mse_loss(rho_w, target),
    }
