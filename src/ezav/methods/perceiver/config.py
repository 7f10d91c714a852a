"""The settings of Perceiver."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.errors import EzavError
from ezav.methods.common.temporal import TimeTokensConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceiverConfig(TimeTokensConfig):
    """Hyper-parameters of the Perceiver; tokens and heads follow TCaF's for UCF."""

    latents: int = 16
    """Use so many latents."""
    blocks: int = 2
    """Let the latents read the tokens so many times."""
    layers: int = 2
    """Use so many self-attention layers after each reading."""
    heads: int = 6
    """Use so many attention heads; they divide `dim`."""
    mlp_dim: int = 128
    """Set the hidden size of the feed-forward parts."""
    dropout: float = 0.3
    """Set the dropout in the attention blocks."""
    normalize_visual: bool = True
    """Give every step's visual vector unit length."""

    def __post_init__(self) -> None:
        if self.heads < 1 or self.dim % self.heads:
            raise EzavError(f"heads ({self.heads}) must divide dim ({self.dim})")
