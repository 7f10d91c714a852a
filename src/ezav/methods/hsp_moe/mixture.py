"""HSP-MoE's mixture: three experts on the raw features, weighed for each clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ezav.methods.common.dropout import Dropout
from ezav.methods.hsp_moe.losses import unit


class Mixture(nn.Module):
    """Directions of a joint, a visual and an audio expert, by the shares of a router.

    Layers keep the numbering of the authors' weight files.

    Args:
        visual, audio: sizes of the clip's two parts.
        out_dim: size of a direction.
        dropout: in the experts and the router.
        temperature: divides the router's logits.

    Example:
        >>> import torch
        >>> mixture = Mixture(5, 3, out_dim=4).eval()
        >>> torch.allclose(mixture(torch.ones(2, 8)).norm(dim=1), torch.ones(2))
        True
    """

    def __init__(
        self,
        visual: int,
        audio: int,
        *,
        out_dim: int,
        dropout: float = 0.1,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.visual_size = visual
        self.temperature = temperature
        hidden = max(2 * out_dim, 128)
        self.visual_descriptor = nn.Linear(visual, out_dim)
        self.audio_descriptor = nn.Linear(audio, out_dim)
        self.joint = _expert(visual + audio, hidden, out_dim, dropout)
        self.visual = _expert(visual, hidden, out_dim, dropout)
        self.audio = _expert(audio, hidden, out_dim, dropout)
        self.router = nn.Sequential(
            nn.Linear(2 * out_dim, 128),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(128, 32),
            nn.ReLU(),
            nn.Linear(32, 3),
        )

    def shares(self, sample: Tensor) -> Tensor:
        """`[B, 3]` of clips `[B, visual + audio]`: joint, visual, audio; they sum to 1."""
        v, a = sample[:, : self.visual_size], sample[:, self.visual_size :]
        seen, heard = unit(self.visual_descriptor(v)), unit(self.audio_descriptor(a))
        logits = self.router(torch.cat([seen, heard], dim=1))
        shares: Tensor = (logits / self.temperature).softmax(dim=1)
        return shares

    def forward(self, sample: Tensor) -> Tensor:
        """Clips `[B, visual + audio]` to directions `[B, out_dim]`."""
        v, a = sample[:, : self.visual_size], sample[:, self.visual_size :]
        experts = (unit(self.joint(sample)), unit(self.visual(v)), unit(self.audio(a)))
        return unit((self.shares(sample)[:, :, None] * torch.stack(experts, dim=1)).sum(dim=1))


def _expert(size: int, hidden: int, out_dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, hidden),
        nn.LayerNorm(hidden),
        nn.GELU(),
        Dropout(dropout),
        nn.Linear(hidden, out_dim),
    )
