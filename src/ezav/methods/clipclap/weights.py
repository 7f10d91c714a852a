"""Names of the authors' weight files (`ClipClap_model_score.pt`, entry `model`) in our network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ezav.methods.common.weights import rename

NAMES = {
    "O_enc.fc.": "sample_encoder.",
    "W_enc.fc.": "text_encoder.",
    "O_proj.fc.": "head.sample_projection.",
    "D_o.fc.": "head.sample_decoder.",
    "W_proj.fc.": "head.text_projection.",
    "D_w.fc.": "head.text_decoder.",
}


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' state dict as one for `ClipClapNetwork`.

    Raises:
        EzavError: a parameter that ClipClap does not have.

    Example:
        >>> import torch
        >>> list(from_published({"O_enc.fc.0.bias": torch.zeros(512)}))
        ['sample_encoder.0.bias']
    """
    return rename(state, NAMES)
