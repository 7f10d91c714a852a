"""The settings of AVCA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AVCAConfig:
    """Hyper-parameters of AVCA; the defaults are the authors' for UCF."""

    encoder_hidden: int = 512
    """Set the hidden size of the two encoders."""
    decoder_hidden: int = 512
    """Set the hidden size of the audio and visual projections."""
    token_dim: int = 300
    """Set the size of the encoded modalities, the tokens of the attention."""
    out_dim: int = 64
    """Set the size of the space shared by audio, visual and text."""
    depth: int = 1
    """Use so many layers of attention."""
    heads: int = 3
    """Use so many attention heads."""
    head_dim: int = 100
    """Set the size of an attention head."""
    mlp_dim: int = 64
    """Set the hidden size of the feed-forward part of the attention."""
    encoder_dropout: float = 0.2
    """Set the dropout in the encoders and the attention."""
    decoder_dropout: float = 0.3
    """Set the dropout in the audio and visual projections."""
    text_dropout: float = 0.5
    """Set the dropout in the text projection, the decoder and the reconstructions."""
    momentum: float = 0.1
    """Set the BatchNorm momentum at the end of the two-block nets; the authors use 0.99 for most
    runs."""
    additional_triplets: bool = True
    """Use the triplets whose negative is of the anchor's own modality, too."""
    regression: bool = True
    """Use the regression loss."""
    train_positions: bool = True
    """Train the two position vectors; the authors' optimiser never sees them (False)."""
    released_norm_passes: bool = False
    """Make the passes of the authors' training step whose results nothing uses, too: they move the
    running statistics of BatchNorm and nothing else."""
