"""Attention fusion (after Fayek and Kumar, IJCAI 2020): two models, weighed output by output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.attention_fusion.config import AttentionFusionConfig
from ezav.methods.base import Dims
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.temporal import TemporalNetwork, make_head


class ModalityModel(nn.Module):
    """One modality of B clips to `[B, dim]`: encoded steps, pooled by attention over time.

    A clip without the modality gives zero.
    """

    def __init__(self, in_dim: int, config: AttentionFusionConfig) -> None:
        super().__init__()
        self.encoder = EmbeddingNet(
            in_dim,
            config.dim,
            hidden_dim=config.encoder_hidden,
            dropout=config.encoder_dropout,
        )
        self.importance = nn.Linear(config.dim, 1)

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
        pooled: Tensor = (weights[..., None] * steps).sum(dim=1)
        return pooled


class AttentionFusionNetwork(TemporalNetwork):
    """`o = alpha_a * o_a + alpha_v * o_v`, with weights for each output coordinate; TCaF's heads.

    `(alpha_a, alpha_v)` is a softmax over the modalities of a linear map of both models' outputs;
    a modality that a clip lacks gets weight 0.

    Example:
        >>> config = AttentionFusionConfig(dim=8)
        >>> network = AttentionFusionNetwork(Dims(audio=3, visual=4, text=5), config)
        >>> clips = Tokens.pooled(torch.ones(2, 3)), Tokens.pooled(torch.ones(2, 4))
        >>> network(*clips).shape
        torch.Size([2, 8])
    """

    def __init__(self, dims: Dims, config: AttentionFusionConfig) -> None:
        super().__init__()
        dim = config.dim
        self.audio = ModalityModel(dims.audio, config)
        self.visual = ModalityModel(dims.visual, config)
        self.attention = nn.Linear(2 * dim, 2 * dim)
        self.head = make_head(dims.text, config)

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips to o, `[B, dim]`."""
        outputs = torch.stack([self.audio(audio), self.visual(visual)], dim=1)  # [B, 2, dim]
        present = torch.stack([audio.present, visual.present], dim=1)[..., None]  # [B, 2, 1]
        logits = self.attention(outputs.flatten(1)).unflatten(1, (2, -1))  # [B, 2, dim]
        lowest = torch.finfo(logits.dtype).min
        weights = logits.masked_fill(~present, lowest).softmax(dim=1)
        fused: Tensor = (weights * outputs).sum(dim=1)
        return fused
