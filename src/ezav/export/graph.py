"""The function that is exported: tokens and class embeddings in, calibrated scores out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Method
from ezav.protocol.calibration import Calibration

INPUTS = (
    "audio",
    "audio_mask",
    "audio_times",
    "visual",
    "visual_mask",
    "visual_times",
    "class_embeddings",
    "seen",
)
"""Float32 `[B, T, d]`, bool `[B, T]` (False where padded or missing), float32 `[B, T]` seconds, of
each modality; float32 `[C, d]`; bool `[C]`."""
Inputs = tuple[Tensor, ...]
"""One batch, in the order of `INPUTS`."""
OUTPUTS = ("scores", "probabilities")
"""Float32 `[B, C]`: after calibrated stacking, and their softmax over temperature."""

Scores = Callable[[Tokens, Tokens, Tensor], Tensor]


_NEVER = -1e30
"""A score that no answer has."""


class Graph(nn.Module):
    """A method in eval mode with its calibration; B, C and both T are free.

    Methods that do not use time get the mean token of each modality, taken inside.

    Args:
        method: the trained method.
        calibration: gamma, temperature and the score of "none of these" become constants.
    """

    gamma: Tensor
    temperature: Tensor
    none: Tensor

    def __init__(self, method: Method, calibration: Calibration) -> None:
        super().__init__()
        self.method = method.eval()
        self._scores: Scores = method.scores
        self.register_buffer("gamma", torch.tensor(calibration.gamma, dtype=torch.float32))
        self.register_buffer(
            "temperature", torch.tensor(calibration.temperature_, dtype=torch.float32)
        )
        # A share of 0 for "none of these" where it has none: ONNX has -inf, and 0 x inf is NaN.
        none = max(calibration.none_, _NEVER)
        self.register_buffer("none", torch.tensor(none, dtype=torch.float32))

    def forward(
        self,
        audio: Tensor,
        audio_mask: Tensor,
        audio_times: Tensor,
        visual: Tensor,
        visual_mask: Tensor,
        visual_times: Tensor,
        class_embeddings: Tensor,
        seen: Tensor,
    ) -> tuple[Tensor, Tensor]:
        heard = Tokens(audio, audio_mask, audio_times)
        viewed = Tokens(visual, visual_mask, visual_times)
        if not self.method.uses_time:
            heard, viewed = pooled(heard), pooled(viewed)
        scores = self._scores(heard, viewed, class_embeddings)
        scores = scores - self.gamma * seen.to(scores.dtype)
        more = torch.cat([scores, self.none.to(scores.dtype) + 0 * scores[:, :1]], dim=1)
        return scores, (more / self.temperature).softmax(dim=1)[:, :-1]


def pooled(tokens: Tokens) -> Tokens:
    """One mean token a clip; as `Tokens.mean`, without its short cut for a single token.

    Example:
        >>> tokens = Tokens(torch.ones(1, 2, 3), torch.tensor([[True, False]]), torch.zeros(1, 2))
        >>> pooled(tokens).values.tolist()
        [[[1.0, 1.0, 1.0]]]
    """
    weight = tokens.mask.to(tokens.values.dtype)
    count = weight.sum(dim=1, keepdim=True).clamp(min=1)
    mean = (tokens.values * weight[..., None]).sum(dim=1) / count
    present = tokens.mask.any(dim=1, keepdim=True)
    return Tokens(mean[:, None], present, torch.zeros_like(weight[:, :1]))
