"""The settings of ClipClap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """ClipClap's network and how it is trained; the defaults are the authors'."""

    dim: int = 512
    """Set the size of encoded clips and texts."""
    hidden_dim: int = 512
    """Set the hidden size of the heads."""
    out_dim: int = 64
    """Set the size of the space shared by clips and texts."""
    encoder_dropout: float = 0.1
    """Set the dropout in the two encoders."""
    decoder_dropout: float = 0.1
    """Set the dropout in the clip's projection and decoder."""
    text_dropout: float = 0.1
    """Set the dropout in the text's projection and decoder."""
    detach_target: bool = False
    """Keep the encoded text from moving towards its reconstructions; the authors let it."""
    released_norm_passes: bool = False
    """Embed each batch once more for the log, as released, which moves the running statistics of
    BatchNorm and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipClapConfig(NetworkConfig):
    """Hyper-parameters of ClipClap."""

    modality: Literal["both", "audio", "visual"] = "both"
    """Use this modality of a clip."""
    text: Literal["both", "audio", "visual"] = "both"
    """Use all of the class vector, or the part of CLAP ('audio') or CLIP ('visual'). The parts are
    told apart by size: visual first, then audio."""
