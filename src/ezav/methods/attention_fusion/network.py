"""Attention fusion (after Fayek and Kumar, IJCAI 2020): two models, weighed output by output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.common.alignment_head import AlignmentHead
from ezav.methods.common.embedding_net import EmbeddingNet


class ModalityModel(nn.Module):
    """One modality of B clips to `[B, dim]`: encoded steps, pooled by attention over time.

    A clip without the modality gives zero.
    """

    def __init__(self, in_dim: int, dim: int, *, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.encoder = EmbeddingNet(in_dim, dim, hidden_dim=hidden_dim, dropout=dropout)
        self.importance = nn.Linear(dim, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        dim = self.importance.in_features
        if not tokens.mask.any():
            return tokens.values.new_zeros(len(tokens.mask), dim)
        # Padding stays out of the encoder: BatchNorm must not see it.
        encoded = self.encoder(tokens.values[tokens.mask])
        steps = encoded.new_zeros(*tokens.mask.shape, dim)  # [B, T, dim]
        steps[tokens.mask] = encoded
        logits = self.importance(steps).squeeze(-1)  # [B, T]
        lowest = torch.finfo(logits.dtype).min
        weights = logits.masked_fill(~tokens.mask, lowest).softmax(dim=1) * tokens.mask
        return (weights[..., None] * steps).sum(dim=1)


class AttentionFusionNetwork(nn.Module):
    """`o = alpha_a * o_a + alpha_v * o_v`, with weights for each output coordinate; TCaF's heads.

    `(alpha_a, alpha_v)` is a softmax over the modalities of a linear map of both models' outputs;
    a modality that a clip lacks gets weight 0.

    Args:
        audio_dim, visual_dim, text_dim: sizes of the inputs.
        dim: size of the modality models' outputs (300).
        encoder_hidden, encoder_dropout: of the modality models.
        decoder_hidden, out_dim, decoder_dropout, text_dropout: of the heads.
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        dim: int = 300,
        encoder_hidden: int = 512,
        decoder_hidden: int = 512,
        out_dim: int = 64,
        encoder_dropout: float = 0.3,
        decoder_dropout: float = 0.1,
        text_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.audio = ModalityModel(
            audio_dim, dim, hidden_dim=encoder_hidden, dropout=encoder_dropout
        )
        self.visual = ModalityModel(
            visual_dim, dim, hidden_dim=encoder_hidden, dropout=encoder_dropout
        )
        self.attention = nn.Linear(2 * dim, 2 * dim)
        self.head = AlignmentHead(
            dim,
            text_dim,
            hidden_dim=decoder_hidden,
            out_dim=out_dim,
            dropout=decoder_dropout,
            text_dropout=text_dropout,
        )

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips to o, `[B, dim]`."""
        outputs = torch.stack([self.audio(audio), self.visual(visual)], dim=1)  # [B, 2, dim]
        present = torch.stack([audio.present, visual.present], dim=1)[..., None]  # [B, 2, 1]
        logits = self.attention(outputs.flatten(1)).unflatten(1, (2, -1))  # [B, 2, dim]
        lowest = torch.finfo(logits.dtype).min
        weights = logits.masked_fill(~present, lowest).softmax(dim=1)
        return (weights * outputs).sum(dim=1)
