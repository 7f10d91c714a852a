"""From per-step features to transformer tokens that know their modality and their time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.temporal import TimeTokensConfig

_HERTZ = 10.0
"""Standard deviation of a frequency's two draws, as in TCaF's code."""


class FourierTime(nn.Module):
    """Seconds to a vector: random Fourier features, then a linear map (`[...] -> [..., dim]`).

    `Linear([sin(2 pi t f), cos(2 pi t f)])`, where each of the dim / 2 frequencies f is the sum
    of two draws from N(0, 10^2), fixed for ever: TCaF feeds the time twice.

    Example:
        >>> FourierTime(6)(torch.tensor([0.0, 2.5])).shape
        torch.Size([2, 6])
    """

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, dim // 2) * _HERTZ)
        self.linear = nn.Linear(dim // 2 * 2, dim)

    def forward(self, times: Tensor) -> Tensor:
        # Order of operations as in the authors' code: at frequencies of 10 Hz and times of
        # minutes the angle is in the thousands, where float32 rounding would show in the sine.
        angle = (2 * math.pi * times)[..., None].expand(*times.shape, 2) @ self.frequencies
        code: Tensor = self.linear(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return code


class TimeTokens(nn.Module):
    """One modality's steps as tokens: encoded features with a modality and a time code.

    `token = Dropout(Linear([EmbeddingNet(x), m + time(t)]))`, m being the modality's vector. The
    encoder sees real steps only: with padding among them, BatchNorm's statistics would depend on
    the longest clip of the batch.

    Args:
        in_dim: feature size.
        config: of the encoder, the code and the token.
    """

    def __init__(self, in_dim: int, config: TimeTokensConfig) -> None:
        super().__init__()
        self.encoder = EmbeddingNet(
            in_dim, config.dim, hidden_dim=config.encoder_hidden, dropout=config.encoder_dropout
        )
        self.modality = nn.Parameter(torch.randn(config.code_dim))
        self.out = nn.Linear(config.dim + config.code_dim, config.dim)
        self.dropout = Dropout(config.token_dropout)

    def forward(self, tokens: Tokens, time: FourierTime, encode_padding: bool = False) -> Tensor:
        """`[B, T, in_dim]` to `[B, T, dim]`; what stands where padded is for nobody to read.

        `encode_padding` passes padded steps (all zero) through the encoder too, as the authors do.
        """
        read = torch.ones_like(tokens.mask) if encode_padding else tokens.mask
        if not read.any():
            # Nobody has this modality: BatchNorm cannot take an empty batch.
            return tokens.values.new_zeros(*tokens.mask.shape, self.out.out_features)
        code = self.modality + time(tokens.times[read])
        made: Tensor = self.dropout(
            self.out(torch.cat([self.encoder(tokens.values[read]), code], dim=-1))
        )
        padded = made.new_zeros(*tokens.mask.shape, made.shape[-1])
        padded[read] = made
        return padded
