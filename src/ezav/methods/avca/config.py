"""The settings of AVCA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AVCAConfig:
    """Hyper-parameters of AVCA; the defaults are the authors' for UCF."""

    encoder_hidden: int = 512
    """Hidden size of the two encoders."""
    decoder_hidden: int = 512
    """Hidden size of the audio and visual projections."""
    token_dim: int = 300
    """Size of the encoded modalities, the tokens of the attention."""
    out_dim: int = 64
    """Size of the space shared by audio, visual and text."""
    depth: int = 1
    """Layers of attention."""
    heads: int = 3
    """How many attention heads there are."""
    head_dim: int = 100
    """Size of an attention head."""
    mlp_dim: int = 64
    """Hidden size of the feed-forward part of the attention."""
    encoder_dropout: float = 0.2
    """Dropout in the encoders and the attention."""
    decoder_dropout: float = 0.3
    """Dropout in the audio and visual projections."""
    text_dropout: float = 0.5
    """Dropout in the text projection, the decoder and the reconstructions."""
    momentum: float = 0.1
    """BatchNorm momentum at the end of the two-block nets; the authors use 0.99 for most runs."""
    additional_triplets: bool = True
    """Use the triplets whose negative is of the anchor's own modality, too."""
    regression: bool = True
    """Use the regression loss."""
    train_positions: bool = True
    """Train the two position vectors; the authors' optimiser never sees them (False)."""
    released_norm_passes: bool = False
    """Also make the passes of the authors' training step whose results nothing uses: they move
    the running statistics of BatchNorm and nothing else."""
