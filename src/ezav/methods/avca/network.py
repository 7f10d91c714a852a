"""AVCA's network (Mercea, Riesch, Koepke and Akata, CVPR 2022): pooled audio, visual and text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ezav.methods.avca.config import AVCAConfig
from ezav.methods.base import Dims
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.pair_attention import PairAttention


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the losses need of B clips, each beside a clip of another class; names as in the paper.

    Side 0 of every tensor is the clip and its class text, side 1 the negative and its class text.

    Attributes:
        phi_a, phi_v: encoded modalities before attention, `[B, 2, token_dim]`.
        theta_w, theta_a, theta_v: text, audio and visual in the shared space, `[B, 2, out_dim]`.
        rho_w, rho_a, rho_v: the three decoded to the text, `[B, 2, text_dim]`.
    """

    phi_a: Tensor
    phi_v: Tensor
    theta_w: Tensor
    theta_a: Tensor
    theta_v: Tensor
    rho_w: Tensor
    rho_a: Tensor
    rho_v: Tensor


class AVCANetwork(nn.Module):
    """Encoders, attention over the pair of modalities, projections and decoders.

    Example:
        >>> network = AVCANetwork(Dims(audio=8, visual=9, text=10), AVCAConfig(out_dim=64)).eval()
        >>> theta_a, theta_v = network.embed(torch.ones(2, 8), torch.ones(2, 9))
        >>> theta_v.shape, network.embed_text(torch.ones(5, 10)).shape
        (torch.Size([2, 64]), torch.Size([5, 64]))
    """

    def __init__(self, dims: Dims, config: AVCAConfig) -> None:
        super().__init__()
        c = config

        def encoder(in_dim: int) -> EmbeddingNet:
            return EmbeddingNet(
                in_dim,
                c.token_dim,
                hidden_dim=c.encoder_hidden,
                dropout=c.encoder_dropout,
                momentum=c.momentum,
            )

        def projection() -> EmbeddingNet:
            return EmbeddingNet(
                c.token_dim,
                c.out_dim,
                hidden_dim=c.decoder_hidden,
                dropout=c.decoder_dropout,
                momentum=c.momentum,
            )

        def text_net(in_dim: int, out_dim: int) -> EmbeddingNet:
            return EmbeddingNet(in_dim, out_dim, dropout=c.text_dropout)

        self.audio_encoder = encoder(dims.audio)
        self.visual_encoder = encoder(dims.visual)
        self.attention = PairAttention(
            c.token_dim,
            depth=c.depth,
            heads=c.heads,
            head_dim=c.head_dim,
            mlp_dim=c.mlp_dim,
            dropout=c.encoder_dropout,
        )
        self.audio_projection = projection()
        self.visual_projection = projection()
        self.text_projection = text_net(dims.text, c.out_dim)
        # One decoder for all three: theta -> text.
        self.decoder = text_net(c.out_dim, dims.text)
        # theta -> phi, for the regression loss.
        self.audio_reconstruction = text_net(c.out_dim, c.token_dim)
        self.visual_reconstruction = text_net(c.out_dim, c.token_dim)

    def attend(self, phi_a: Tensor, phi_v: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange between the modalities, `[N, token_dim]` each; an outer residual around it."""
        pair = torch.stack([phi_a, phi_v], dim=1)  # [N, 2, token_dim]
        audio, visual = (pair + self.attention(pair)).unbind(dim=1)
        return audio, visual

    def embed(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Clips `[B, audio_dim]`, `[B, visual_dim]` to `theta_a`, `theta_v` `[B, out_dim]`."""
        attended_a, attended_v = self.attend(self.audio_encoder(audio), self.visual_encoder(visual))
        return self.audio_projection(attended_a), self.visual_projection(attended_v)

    def embed_text(self, text: Tensor) -> Tensor:
        """Class embeddings `[C, text_dim]` to `theta_w` `[C, out_dim]`."""
        theta_w: Tensor = self.text_projection(text)
        return theta_w

    def reconstruct(self, theta_a: Tensor, theta_v: Tensor) -> tuple[Tensor, Tensor]:
        """The shared space back to the encoded modalities, `[B, out_dim] -> [B, token_dim]`."""
        return self.audio_reconstruction(theta_a), self.visual_reconstruction(theta_v)

    def forward(self, audio: Tensor, visual: Tensor, text: Tensor) -> Embedded:
        """Clips beside negatives, with their class text: `[B, 2, dim]` each.

        The two sides pass every BatchNorm as batches of their own, clips first, as the authors
        do: with one joint batch the normalisation would differ.
        """
        phi_a, phi_v = self.audio_encoder.sides(audio), self.visual_encoder.sides(visual)
        theta_w = self.text_projection.sides(text)
        # The attention has no BatchNorm: both sides are one batch for it.
        attended = self.attend(phi_a.flatten(0, 1), phi_v.flatten(0, 1))
        attended_a, attended_v = (x.view(phi_a.shape) for x in attended)
        theta_a = self.audio_projection.sides(attended_a)
        theta_v = self.visual_projection.sides(attended_v)
        rho = self.decoder.sides(torch.cat([theta_w, theta_a, theta_v], dim=1))
        rho_w, rho_a, rho_v = torch.split(rho, 2, dim=1)
        return Embedded(phi_a, phi_v, theta_w, theta_a, theta_v, rho_w, rho_a, rho_v)
