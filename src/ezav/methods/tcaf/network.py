"""TCaF's network (Mercea, Hummel, Koepke and Akata, ECCV 2022): attention across modalities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.common.alignment_head import AlignmentHead
from ezav.methods.common.dropout import Dropout
from ezav.methods.common.time_tokens import FourierTime, TimeTokens


def cross_modal_mask(audio: Tensor, visual: Tensor) -> Tensor:
    """Who may attend to whom in the sequence [class token, audio, visual].

    A token attends to the tokens of the other modality and to the class token; the class token
    attends to everything, itself included. Nobody attends to padding. A padded token may attend to
    the class token, so that its softmax is defined; nobody reads the result.

    Args:
        audio, visual: bool `[B, T_a]` and `[B, T_v]`, True where a token is real.

    Returns:
        Bool `[B, 1, S, S]` with S = 1 + T_a + T_v, True where row may attend to column.

    Example:
        >>> mask = cross_modal_mask(torch.tensor([[True]]), torch.tensor([[True, False]]))
        >>> mask[0, 0].int().tolist()
        [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    """
    real = torch.cat([torch.ones_like(audio[:, :1]), audio, visual], dim=1)  # [B, S]
    sizes = torch.tensor([1, audio.shape[1], visual.shape[1]], device=audio.device)
    modality = torch.arange(3, device=audio.device).repeat_interleave(sizes)  # [S]
    other = modality[:, None] != modality[None]
    other[0, 0] = True
    return (real[:, None, :] & other)[:, None]


class CrossModalLayer(nn.Module):
    """A transformer layer with ONE LayerNorm used before both parts, as in the authors' code."""

    def __init__(
        self, dim: int, *, heads: int, head_dim: int, mlp_dim: int, dropout: float
    ) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key = nn.Linear(dim, inner, bias=False)
        self.value = nn.Linear(dim, inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, dim), Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            Dropout(dropout),
        )

    def forward(self, x: Tensor, mask: Tensor, rows: int) -> Tensor:
        """The first `rows` tokens after the layer: `x` `[B, S, dim]`, `mask` `[B, 1, S, S]`."""
        y = self.norm(x)
        # [B, S, H * h] -> [B, H, S, h]
        q, k, v = (
            part(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part, z in ((self.query, y[:, :rows]), (self.key, y), (self.value, y))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, :, :rows])
        x = x[:, :rows] + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm(x))


class TCaFNetwork(nn.Module):
    """Per-step encoders, tokens in time, cross-modal transformer, heads.

    Args:
        audio_dim, visual_dim, text_dim: sizes of the inputs.
        dim: token size (300).
        encoder_hidden: hidden size of the per-step encoders.
        decoder_hidden, out_dim: of the heads.
        depth, heads, head_dim, mlp_dim: of the transformer.
        code_dim: size of the modality and time code (64).
        fourier_scale: standard deviation of the time code's frequencies in hertz (10).
        encoder_dropout, decoder_dropout, text_dropout, transformer_dropout, token_dropout:
            the authors' p_e, p_d, p_x, p_t and p_m.
    """

    def __init__(
        self,
        audio_dim: int,
        visual_dim: int,
        text_dim: int,
        *,
        dim: int = 300,
        encoder_hidden: int = 512,
        decoder_hidden: int = 512,
        out_dim: int = 64,
        depth: int = 6,
        heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 128,
        code_dim: int = 64,
        fourier_scale: float = 10.0,
        encoder_dropout: float = 0.3,
        decoder_dropout: float = 0.1,
        text_dropout: float = 0.1,
        transformer_dropout: float = 0.3,
        token_dropout: float = 0.2,
    ) -> None:
        super().__init__()

        def tokens(in_dim: int) -> TimeTokens:
            return TimeTokens(
                in_dim,
                dim,
                hidden_dim=encoder_hidden,
                dropout=encoder_dropout,
                code_dim=code_dim,
                token_dropout=token_dropout,
            )

        self.time = FourierTime(code_dim, fourier_scale)
        self.audio_tokens = tokens(audio_dim)
        self.visual_tokens = tokens(visual_dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList(
            CrossModalLayer(
                dim, heads=heads, head_dim=head_dim, mlp_dim=mlp_dim, dropout=transformer_dropout
            )
            for _ in range(depth)
        )
        self.head = AlignmentHead(
            dim,
            text_dim,
            hidden_dim=decoder_hidden,
            out_dim=out_dim,
            dropout=decoder_dropout,
            text_dropout=text_dropout,
        )

    def forward(self, audio: Tokens, visual: Tokens, encode_padding: bool = False) -> Tensor:
        """Clips to the class token after the last layer, `[B, dim]`."""
        a = self.audio_tokens(audio, self.time, encode_padding)
        v = self.visual_tokens(visual, self.time, encode_padding)
        x = torch.cat([self.class_token.expand(len(audio), -1, -1), a, v], dim=1)  # [B, S, dim]
        mask = cross_modal_mask(audio.mask, visual.mask)
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            # After the last layer only the class token is read.
            x = layer(x, mask, rows=1 if i == last else x.shape[1])
        return x[:, 0]
