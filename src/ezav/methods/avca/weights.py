"""Names of the authors' weight files (`AVCA_score.pt`, entry `model`) in our network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ezav.methods.common.weights import rename

_LAYER = "cross_attention.layers."

NAMES = {
    "pos_emb1D": "attention.positions",
    "A_enc.fc.": "audio_encoder.",
    "V_enc.fc.": "visual_encoder.",
    "A_proj.fc.": "audio_projection.",
    "V_proj.fc.": "visual_projection.",
    "W_proj.fc.": "text_projection.",
    "D.fc.": "decoder.",
    "A_rec.fc.": "audio_reconstruction.",
    "V_rec.fc.": "visual_reconstruction.",
}


def from_published(state: Mapping[str, Tensor], depth: int = 1) -> dict[str, Tensor]:
    """The authors' state dict as one for `AVCANetwork(..., depth=depth)`.

    Raises:
        EzavError: a parameter that AVCA does not have.

    Example:
        >>> import torch
        >>> list(from_published({"D.fc.0.bias": torch.zeros(300)}))
        ['decoder.0.bias']
    """
    names = dict(NAMES)
    for i in range(depth):
        ours = f"attention.layers.{i}."
        names |= {
            f"{_LAYER}{i}.0.norm.": f"{ours}attention_norm.",
            f"{_LAYER}{i}.0.fn.to_qkv.": f"{ours}qkv.",
            f"{_LAYER}{i}.0.fn.to_out.0.": f"{ours}out.",
            f"{_LAYER}{i}.1.norm.": f"{ours}mlp_norm.",
            f"{_LAYER}{i}.1.fn.net.": f"{ours}mlp.",
        }
    return rename(state, names)
