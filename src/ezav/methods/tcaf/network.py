"""TCaF's network (Mercea, Hummel, Koepke and Akata, ECCV 2022): attention across modalities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Dims
from ezav.methods.common.cross_modal import cross_modal_mask, kinds_and_real
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.temporal import TemporalNetwork, make_head
from ezav.methods.common.time_tokens import FourierTime, TimeTokens
from ezav.methods.tcaf.config import TCaFConfig


class CrossModalLayer(nn.Module):
    """A transformer layer with ONE LayerNorm used before both parts, as in the authors' code."""

    def __init__(self, config: TCaFConfig) -> None:
        super().__init__()
        dim, mlp_dim, dropout = config.dim, config.mlp_dim, config.transformer_dropout
        inner = config.heads * config.head_dim
        self.heads = config.heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key = nn.Linear(dim, inner, bias=False)
        self.value = nn.Linear(dim, inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, dim), Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            Dropout(dropout),
        )

    def forward(self, x: Tensor, real: Tensor, mask: Tensor, last: bool) -> Tensor:
        """Tokens after the layer.

        Only attention sees padding; all else is done for the real tokens alone, which are often a
        third of the padded ones.

        Args:
            x: the real tokens of all clips, `[M, dim]`.
            real: bool `[B, S]` with M True, where they stand.
            mask: `[B, 1, S, S]`, see :func:`ezav.methods.common.cross_modal.cross_modal_mask`.
            last: nobody reads more than the class tokens: return them, `[B, dim]`.
        """
        y = self.norm(x)
        if last:
            first = real.sum(dim=1).cumsum(0) - real.sum(dim=1)  # [B], rows of the class tokens
            x, q, mask = x[first], self.query(y[first])[:, None], mask[:, :, :1]
            k, v = _padded(real, self.key(y), self.value(y))
        else:
            q, k, v = _padded(real, self.query(y), self.key(y), self.value(y))
        # [B, S, H * h] -> [B, H, S, h]
        q, k, v = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2)
        x = x + self.out(attended[:, 0] if last else attended[real])
        out: Tensor = x + self.mlp(self.norm(x))
        return out


def _padded(real: Tensor, *packed: Tensor) -> tuple[Tensor, ...]:
    """Each `[M, d]` as `[B, S, d]`, zero where `real` is False."""
    values = torch.cat(packed, dim=1)
    padded = values.new_zeros(*real.shape, values.shape[1])
    padded[real] = values
    return padded.chunk(len(packed), dim=-1)


class TCaFNetwork(TemporalNetwork):
    """Per-step encoders, tokens in time, cross-modal transformer, heads.

    Example:
        >>> network = TCaFNetwork(Dims(audio=3, visual=4, text=5), TCaFConfig(dim=8, depth=1))
        >>> clips = Tokens.pooled(torch.ones(2, 3)), Tokens.pooled(torch.ones(2, 4))
        >>> network(*clips).shape
        torch.Size([2, 8])
    """

    def __init__(self, dims: Dims, config: TCaFConfig) -> None:
        super().__init__()
        self.time = FourierTime(config.code_dim)
        self.audio_tokens = TimeTokens(dims.audio, config)
        self.visual_tokens = TimeTokens(dims.visual, config)
        self.class_token = nn.Parameter(torch.randn(1, 1, config.dim))
        self.layers = nn.ModuleList(CrossModalLayer(config) for _ in range(config.depth))
        self.head = make_head(dims.text, config)

    def forward(self, audio: Tokens, visual: Tokens, encode_padding: bool = False) -> Tensor:
        """Clips to the class token after the last layer, `[B, dim]`."""
        a = self.audio_tokens(audio, self.time, encode_padding)
        v = self.visual_tokens(visual, self.time, encode_padding)
        x = torch.cat([self.class_token.expand(len(audio), -1, -1), a, v], dim=1)  # [B, S, dim]
        kinds, real = kinds_and_real(audio.mask, visual.mask)
        mask = cross_modal_mask(kinds, real)
        x = x[real]
        for i, layer in enumerate(self.layers):
            x = layer(x, real, mask, last=i == len(self.layers) - 1)
        return x
