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

    def forward(self, x: Tensor, real: Tensor, mask: Tensor, last: bool) -> Tensor:
        """Tokens after the layer.

        Only attention sees padding; all else is done for the real tokens alone, which are often a
        third of the padded ones.

        Args:
            x: the real tokens of all clips, `[M, dim]`.
            real: bool `[B, S]` with M True, where they stand.
            mask: `[B, 1, S, S]`, see :func:`cross_modal_mask`.
            last: nobody reads more than the class tokens: return them, `[B, dim]`.
        """
        y = self.norm(x)
        if last:
            first = real.sum(dim=1).cumsum(0) - real.sum(dim=1)  # [B], rows of the class tokens
            x, q, mask = x[first], self.query(y[first])[:, None], mask[:, :, :1]
            k, v = _padded(real, self.key(y), self.value(y))
        else:
            q, k, v = _padded(real, self.query(y), self.key(y), self.value(y))
        # [B, S, H * h] -> [B, H, S, h]
        q, k, v = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2)
        x = x + self.out(attended[:, 0] if last else attended[real])
        return x + self.mlp(self.norm(x))


def _padded(real: Tensor, *packed: Tensor) -> tuple[Tensor, ...]:
    """Each `[M, d]` as `[B, S, d]`, zero where `real` is False."""
    values = torch.cat(packed, dim=1)
    padded = values.new_zeros(*real.shape, values.shape[1])
    padded[real] = values
    return padded.chunk(len(packed), dim=-1)


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
        real = torch.cat([torch.ones_like(audio.mask[:, :1]), audio.mask, visual.mask], dim=1)
        mask = cross_modal_mask(audio.mask, visual.mask)
        x = x[real]
        for i, layer in enumerate(self.layers):
            x = layer(x, real, mask, last=i == len(self.layers) - 1)
        return x
