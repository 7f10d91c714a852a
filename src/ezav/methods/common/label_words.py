"""Words: what a classifier's labels say of a clip, in the space of the class names (ConSE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.encoders.words import TEMPERATURE, evidence
from ezav.features.tokens import Tokens
from ezav.methods.common.centring import centred

_BEFORE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class LabelHead:
    """The last layer of the encoder that made a modality's features, and its labels' text.

    Attributes:
        modality: whose features they are.
        weight, bias: `[L, d]` and `[L]`: a feature's logits for L labels.
        vectors: `[L, text]`, the labels' names by the text encoder of the class names, unit rows.
    """

    modality: Literal["audio", "visual"]
    weight: Tensor
    bias: Tensor
    vectors: Tensor


class LabelWords(nn.Module):
    """The probabilities of the labels times the vectors of their names; nothing is trained.

    It is empty until :meth:`know` fills it or a state that knew is loaded; then a run needs its
    encoder's features and no encoder (Norouzi et al., ICLR 2014).

    Example:
        >>> words = LabelWords(audio=2, visual=3, text=4)
        >>> words.knows
        False
        >>> words.know(LabelHead("visual", 9 * torch.eye(3), torch.zeros(3), torch.eye(4)[:3]))
        >>> clips = Tokens.pooled(torch.zeros(1, 2)), Tokens.pooled(torch.eye(3)[:1])
        >>> [[round(value, 2) for value in row] for row in words(*clips).tolist()]
        [[1.0, 0.0, 0.0, 0.0]]
    """

    temperature: Tensor
    audio_weight: Tensor
    visual_weight: Tensor
    bias: Tensor
    vectors: Tensor

    def __init__(self, audio: int, visual: int, text: int) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.tensor(TEMPERATURE))
        self.register_buffer("audio_weight", torch.zeros(0, audio))
        self.register_buffer("visual_weight", torch.zeros(0, visual))
        self.register_buffer("bias", torch.zeros(0))
        self.register_buffer("vectors", torch.zeros(0, text))

    @property
    def knows(self) -> bool:
        """There are labels."""
        return len(self.bias) > 0

    def know(self, head: LabelHead) -> None:
        """Take over an encoder's labels."""
        weight = self.get_buffer(f"{head.modality}_weight")
        setattr(self, f"{head.modality}_weight", head.weight.to(weight))
        self.bias, self.vectors = head.bias.to(weight), head.vectors.to(weight)

    def forward(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips in the space of the class names, `[N, text]`; zeros without the modality."""
        return self.words(self.shares(audio, visual))

    def words(self, shares: Tensor) -> Tensor:
        """The same of :meth:`shares`."""
        return shares @ self.vectors

    def shares(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Probabilities of the labels, `[N, L]`; zeros without the modality."""
        tokens, weight = audio, self.audio_weight
        if len(self.visual_weight):
            tokens, weight = visual, self.visual_weight
        logits = F.linear(tokens.mean().to(weight.dtype), weight, self.bias)
        return (logits / self.temperature).softmax(dim=1) * tokens.present[:, None]

    def evidence(self, shares: Tensor, usual: Tensor, classes: Tensor) -> Tensor:
        """:func:`ezav.encoders.words.evidence` for class vectors, `[N, C]`; 0 for a clip of zeros.

        Args:
            shares: p, as of :meth:`shares`.
            usual: q `[L]`, their mean over training clips.
            classes: `[C, text]`.

        Example:
            >>> words = LabelWords(audio=2, visual=3, text=3)
            >>> words.know(LabelHead("visual", torch.eye(3), torch.zeros(3), torch.eye(3)))
            >>> words.evidence(torch.eye(3)[:1], torch.ones(3) / 3, torch.eye(3)).round().tolist()
            [[1.0, -13.0, -13.0]]
        """
        mean = self.vectors.mean(dim=0)
        labels, names = centred(self.vectors, mean), centred(classes, mean)
        told = evidence(shares, usual, labels, names)
        return told * (shares.amax(dim=1, keepdim=True) > 0)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Runs of before it was kept halved the logits, and their weights were learned with that.
        state.setdefault(f"{prefix}temperature", torch.tensor(_BEFORE))
        for name, buffer in list(self.named_buffers(recurse=False)):
            given = state.get(prefix + name)
            if isinstance(given, Tensor) and given.shape[1:] == buffer.shape[1:]:
                setattr(self, name, torch.zeros_like(given))
        super()._load_from_state_dict(state, prefix, *rest)
