"""The settings of Perceiver."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.errors import EzavError
from ezav.methods.common.temporal import TimeTokensConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceiverConfig(TimeTokensConfig):
    """Hyper-parameters of the Perceiver; tokens and heads follow TCaF's for UCF."""

    latents: int = 16
    """Number of latents."""
    blocks: int = 2
    """How often the latents read the tokens."""
    layers: int = 2
    """Self-attention layers after each reading."""
    heads: int = 6
    """Attention heads; they divide `dim`."""
    mlp_dim: int = 128
    """Hidden size of the feed-forward parts."""
    dropout: float = 0.3
    """Dropout in the attention blocks."""
    normalize_visual: bool = True
    """Give every step's visual vector unit length."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.dim % self.heads:
            raise EzavError(f"heads ({self.heads}) must divide dim ({self.dim})")
