"""Names of the authors' weights in our network: ClipClap's, and those of the mixture."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ezav.methods.clipclap.weights import NAMES as CLIPCLAP
from ezav.methods.common.weights import rename

NAMES = CLIPCLAP | {
    "semantic_consensus.video_router_proj.": "mixture.visual_descriptor.",
    "semantic_consensus.audio_router_proj.": "mixture.audio_descriptor.",
    "semantic_consensus.multimodal_experts.0.": "mixture.joint.",
    "semantic_consensus.singlemodal_experts.0.": "mixture.visual.",
    "semantic_consensus.singlemodal_experts.1.": "mixture.audio.",
    "semantic_consensus.router.": "mixture.router.",
}


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' state dict as one for `HspMoeNetwork`, all but the fusion's scale.

    Raises:
        EzavError: a parameter that HSP-MoE does not have.

    Example:
        >>> import torch
        >>> list(from_published({"semantic_consensus.router.0.bias": torch.zeros(128)}))
        ['mixture.router.0.bias']
    """
    return rename(state, NAMES)
