"""AVCA's transformer over two tokens, one a modality."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.common.dropout import Dropout


class PairAttention(nn.Module):
    """A pre-norm transformer over the pair (audio, visual), `[B, 2, d] -> [B, 2, d]`.

    AVCA calls it cross-attention; it is self-attention over a sequence of two, so each token
    also attends to itself. A position vector for each token is added first. There is no norm at
    the end.

    Args:
        dim: token size d.
        depth: number of layers.
        heads, head_dim: attention heads and their size (heads * head_dim need not be d).
        mlp_dim: hidden size of the feed-forward part.
        dropout: after the attention's output and in the feed-forward part.
    """

    def __init__(
        self, dim: int, *, depth: int, heads: int, head_dim: int, mlp_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(2, dim))
        self.layers = nn.ModuleList(
            _Layer(dim, heads=heads, head_dim=head_dim, mlp_dim=mlp_dim, dropout=dropout)
            for _ in range(depth)
        )

    def forward(self, pair: Tensor) -> Tensor:
        x = pair + self.positions
        for layer in self.layers:
            x = layer(x)
        return x


class _Layer(nn.Module):
    def __init__(self, dim: int, *, heads: int, head_dim: int, mlp_dim: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim)
        self.dropout = Dropout(dropout)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        # [B, 2, 3 * H * h] -> q, k, v: [B, H, 2, h]
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        # [B, H, 2, h] -> [B, 2, H * h]
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        mixed: Tensor = x + self.mlp(self.mlp_norm(x))
        return mixed
