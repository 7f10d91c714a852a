"""The settings of APN."""

from __future__ import annotations

from dataclasses import dataclass

from ezav.methods.common.joint_input import Normalization


@dataclass(frozen=True, kw_only=True, slots=True)
class APNConfig:
    """Hyper-parameters of APN."""

    normalization: Normalization = "per_modality"
    """Give each modality unit length, or both side by side ('joint'), or leave features as they are
    ('none'); AVCA's comparison has 'joint' for cls features, 'none' for main."""
    prototypes: bool = False
    """Train the prototypes too, as released. They share nothing with what is scored."""
    softmax_twice: bool = False
    """Take the cross-entropy of probabilities, as if they were logits; so it was released."""
