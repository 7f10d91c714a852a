"""The closed members of the stack: fitted on clips of known classes, they score any names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.best.closed_form import (
    SAME,
    UnitInput,
    carried,
    gaussian_kernel,
    identity_kernel,
    linear_kernel,
    seen_classifier,
)
from ezav.methods.common.centring import aligned_scores, centred

FORMS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "kernel": (gaussian_kernel, 0.3),
    "linear": (linear_kernel, 1.0),
    "identity": (identity_kernel, 1.0),
}
"""Name -> kernel of class vectors, and its ridge. `linear` is ESZSL."""


class ClosedForms(nn.Module):
    """Three closed forms on both modalities side by side.

    What is fitted has as many rows as there are training classes; loading takes over their number.

    Example:
        >>> forms = ClosedForms(audio=2, visual=3, text=4)
        >>> clips = Tokens.pooled(torch.randn(5, 2)), Tokens.pooled(torch.randn(5, 3))
        >>> forms.fit(*clips, torch.tensor([0, 1, 2, 0, 1]), torch.eye(4)[:3])
        >>> forms(*clips, torch.eye(4)).shape
        torch.Size([5, 4, 3])
    """

    classes_: Tensor
    text_mean_: Tensor
    maps_: Tensor

    def __init__(self, audio: int, visual: int, text: int) -> None:
        super().__init__()
        self.audio, self.visual = UnitInput(audio), UnitInput(visual)
        self.register_buffer("text_mean_", torch.zeros(text))
        self.register_buffer("classes_", torch.zeros(0, text))
        self.register_buffer("maps_", torch.zeros(len(FORMS), audio + visual, 0))

    def fit(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn from N clips, one mean token each.

        Args:
            audio, visual: the clips.
            labels: long `[N]`, rows of the S training classes.
            classes: `[S, text]`.
        """
        self.audio.fit(audio.mean(), audio.present)
        self.visual.fit(visual.mean(), visual.present)
        self.text_mean_.copy_(F.normalize(classes, dim=1).mean(dim=0))
        self.classes_ = centred(classes, self.text_mean_)
        weight = seen_classifier(self._inputs(audio, visual), labels, len(classes))
        maps = [
            carried(weight, kernel(self.classes_, self.classes_), ridge)
            for kernel, ridge in FORMS.values()
        ]
        self.maps_ = torch.stack(maps)

    def units(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, Tensor]:
        """Sound `[N, audio]` and picture `[N, visual]`, standardised, at unit length."""
        return self.audio(audio.mean(), audio.present), self.visual(visual.mean(), visual.present)

    def _inputs(self, audio: Tokens, visual: Tokens) -> Tensor:
        return torch.cat(self.units(audio, visual), dim=1)

    def forward(self, audio: Tokens, visual: Tokens, classes: Tensor) -> Tensor:
        """Scores `[N, C, 3]` in the order of :data:`FORMS`."""
        inputs, names = self._inputs(audio, visual), centred(classes, self.text_mean_)
        scores = [
            inputs @ self.maps_[row] @ kernel(self.classes_, names)
            for row, (kernel, _) in enumerate(FORMS.values())
        ]
        return torch.stack(scores, dim=2)

    def is_seen(self, classes: Tensor) -> Tensor:
        """bool `[C]`: which names are training classes, told by their vectors."""
        if not len(self.classes_):
            return torch.zeros(len(classes), dtype=torch.bool, device=classes.device)
        names = centred(classes, self.text_mean_)
        return (names @ self.classes_.T).amax(dim=1) > SAME

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        classes, maps = state.get(f"{prefix}classes_"), state.get(f"{prefix}maps_")
        if classes is not None and maps is not None and classes.ndim == 2 and maps.ndim == 3:
            seen = len(classes)
            self.classes_ = self.classes_.new_zeros(seen, self.classes_.shape[1])
            self.maps_ = self.maps_.new_zeros(*self.maps_.shape[:2], seen)
        super()._load_from_state_dict(state, prefix, *rest)


class FrozenScores(nn.Module):
    """Cosine with the class names of features that share the text's space, late fusion.

    Args:
        visual_text, audio_text: which part of a class vector is a modality's text; None: none is.
        visual_weight: share of the visual score where both are.
        dims: of the audio and the visual features.

    Example:
        >>> frozen = FrozenScores(slice(0, 3), None, 1.0, audio=2, visual=3)
        >>> clips = Tokens.pooled(torch.ones(4, 2)), Tokens.pooled(torch.ones(4, 3))
        >>> frozen.fit(*clips, torch.eye(3))
        >>> frozen(*clips, torch.eye(3)).shape
        torch.Size([4, 3])
    """

    audio_mean_: Tensor
    visual_mean_: Tensor
    audio_text_mean_: Tensor
    visual_text_mean_: Tensor

    def __init__(
        self,
        visual_text: slice | None,
        audio_text: slice | None,
        visual_weight: float,
        *,
        audio: int,
        visual: int,
    ) -> None:
        super().__init__()
        self.parts = (
            ("visual", visual_text, visual_weight),
            ("audio", audio_text, 1 - visual_weight),
        )
        for name, dim in (("audio", audio), ("visual", visual)):
            self.register_buffer(f"{name}_mean_", torch.zeros(dim))
            self.register_buffer(f"{name}_text_mean_", torch.zeros(dim))

    def fit(self, audio: Tokens, visual: Tokens, classes: Tensor) -> None:
        """Learn what all clips, and all training classes `[S, text]`, share."""
        clips = {"audio": audio, "visual": visual}
        for name, part, _ in self.parts:
            if part is None:
                continue
            text = F.normalize(classes[:, part], dim=1).mean(dim=0)
            self.get_buffer(f"{name}_text_mean_").copy_(text)
            present = clips[name].present
            if bool(present.any()):
                mean = F.normalize(clips[name].mean()[present], dim=1).mean(dim=0)
                self.get_buffer(f"{name}_mean_").copy_(mean)

    def forward(self, audio: Tokens, visual: Tokens, classes: Tensor) -> Tensor:
        """`[N, C]`; a clip that lacks one modality is scored by the other."""
        clips = {"audio": audio, "visual": visual}
        total = classes.new_zeros(len(audio), len(classes))
        weights = classes.new_zeros(len(audio), 1)
        for name, part, weight in self.parts:
            if part is None or weight == 0:
                continue
            text = centred(classes[:, part], self.get_buffer(f"{name}_text_mean_"))
            score = aligned_scores(clips[name].mean(), self.get_buffer(f"{name}_mean_"), text)
            share = weight * clips[name].present[:, None]
            total, weights = total + share * score, weights + share
        return total / weights.clamp(min=1e-12)
