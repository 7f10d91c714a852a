"""The network of EZ-AVGZL: cross-modal fusion of tokens, and three similarities to class names.

Blocks in dependency order. B clips, T tokens, C classes, H heads, d width; every reshape is
annotated. The file can be lifted out of the project: besides torch it needs the config, the mask of
fusion, a quicker dropout and a batch norm that takes one row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.methods.base import Dims
from ezav.methods.common.batch_norm import BatchNorm
from ezav.methods.common.cross_modal import (
    AUDIO,
    CLASS,
    VISUAL,
    cross_modal_mask,
    kinds_and_real,
)
from ezav.methods.common.dropout import Dropout
from ezav.methods.ez_avgzl.config import EzAvgzlConfig


class Standardize(nn.Module):
    """Shift and scale each feature dimension by the statistics of the training set.

    Frozen encoders differ by orders of magnitude (VGGish 0…255, CLIP unit vectors). The scale is
    floored at a tenth of the typical one, so that a nearly constant dimension is not blown up.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def learn(self, values: Tensor, mask: Tensor) -> None:
        """Mean and standard deviation of the real tokens `[B, T, d]` given.

        The loop gives the mean token of each training clip, for temporal features too: what varies
        within a clip does not enter the scale.
        """
        # Picking the real ones copies: not where all are real.
        rows = values.flatten(0, 1) if bool(mask.all()) else values[mask]
        if not len(rows):
            return
        mean = rows.mean(dim=0)
        # Block by block: without a copy of the features, and quicker than Tensor.std on a CPU.
        squares = [(block - mean).square().sum(dim=0) for block in torch.split(rows, 1024)]
        deviation = (torch.stack(squares).sum(dim=0) / len(rows)).sqrt()
        typical = deviation.square().mean().sqrt()
        if typical > 0:
            self.mean.copy_(mean)
            self.scale.copy_(deviation.clamp(min=0.1 * float(typical)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class TokenEmbedding(nn.Module):
    """(Linear, norm, ReLU, dropout) twice, from feature dimension to width; padding stays zero."""

    def __init__(self, dim: int, hidden: int, width: int, norm: str, dropout: float) -> None:
        super().__init__()
        make_norm = BatchNorm if norm == "batch" else nn.LayerNorm
        self.standardize = Standardize(dim)
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden),
            make_norm(hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, width),
            make_norm(width),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.batch_norm = norm == "batch"

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # [B, T, dim], [B, T] -> [B, T, d]
        if self.training and self.batch_norm:
            return self._with_batch_statistics(values, mask)
        rows = values.flatten(0, 1)  # [B·T, dim]
        embedded: Tensor = self.layers(self.standardize(rows)).unflatten(0, mask.shape)
        return embedded * mask[..., None]

    def _with_batch_statistics(self, values: Tensor, mask: Tensor) -> Tensor:
        # Padding would shift the statistics: only real tokens pass through.
        rows = self.standardize(values[mask])  # [real tokens, dim]
        embedded: Tensor = self.layers(rows)
        out = embedded.new_zeros(*mask.shape, embedded.shape[-1])
        out[mask] = embedded
        return out


class TimeEmbedding(nn.Module):
    """Seconds to vectors: sines and cosines from 20 s down to 0.2 s, then a linear map."""

    frequencies: Tensor

    def __init__(self, width: int, bands: int = 16) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(20.0), math.log10(0.2), bands)
        self.register_buffer("frequencies", 2 * math.pi / periods)
        self.linear = nn.Linear(2 * bands, width)

    def forward(self, seconds: Tensor) -> Tensor:  # [B, T] -> [B, T, d]
        angle = seconds[..., None] * self.frequencies
        embedded: Tensor = self.linear(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return embedded


class FusionLayer(nn.Module):
    """A pre-norm transformer layer under a given attention mask.

    Both branches begin at zero: training starts from the sum of what each modality says alone,
    which transfers, and mixes them only as far as the data asks for it.
    """

    def __init__(self, width: int, heads: int, head_dim: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.to_out = nn.Linear(heads * head_dim, width)
        self.mlp_norm = nn.LayerNorm(width)
        to_width = nn.Linear(mlp, width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), Dropout(dropout), to_width)
        self.dropout = Dropout(dropout)
        for branch_end in (self.to_out, to_width):
            nn.init.zeros_(branch_end.weight)
            nn.init.zeros_(branch_end.bias)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:  # [B, T, d], [B, 1, T, T]
        qkv = self.to_qkv(self.attention_norm(x))  # [B, T, 3·H·dh]
        qkv = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [3, B, H, T, dh]
        query, key, value = qkv.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        x = x + self.dropout(self.to_out(attended.transpose(1, 2).flatten(-2)))
        out: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return out


class Fused(NamedTuple):
    """What fusion gives: tokens `[B, T, d]` (class token first), real `[B, T]`, kinds `[T]`."""

    tokens: Tensor
    real: Tensor
    kinds: Tensor


class Fusion(nn.Module):
    """`f_av`: audio and visual tokens and a class token, mixed across modalities only."""

    def __init__(self, dims: Dims, config: EzAvgzlConfig) -> None:
        super().__init__()
        c, width = config, config.width
        self.audio = TokenEmbedding(dims.audio, c.hidden, width, c.norm, c.dropout)
        self.visual = TokenEmbedding(dims.visual, c.hidden, width, c.norm, c.dropout)
        self.class_token = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.kind = nn.Parameter(torch.randn(3, width) / math.sqrt(width))
        self.time = TimeEmbedding(width) if c.temporal else None  # pooled tokens have no time
        self.layers = nn.ModuleList(
            FusionLayer(width, c.heads, c.head_dim, c.mlp, c.dropout) for _ in range(c.layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        audio: Tensor,
        audio_mask: Tensor,
        audio_times: Tensor,
        visual: Tensor,
        visual_mask: Tensor,
        visual_times: Tensor,
    ) -> Fused:
        """The clip's 1 + T_a + T_v tokens, each having seen the other modality."""
        a = self.audio(audio, audio_mask) + self.kind[AUDIO]
        v = self.visual(visual, visual_mask) + self.kind[VISUAL]
        if self.time is not None:
            a, v = a + self.time(audio_times), v + self.time(visual_times)
        head = (self.class_token + self.kind[CLASS]).expand(a.shape[0], 1, -1)
        x = torch.cat([head, a, v], dim=1)
        kinds, real = kinds_and_real(audio_mask, visual_mask)
        allowed = cross_modal_mask(kinds, real)
        for layer in self.layers:
            x = layer(x, allowed)
        return Fused(self.norm(x), real, kinds)


class AttentionSimilarity(nn.Module):
    """The paper's similarity: class embeddings ask, the clip's tokens answer, one score a class.

    A linear projection `p` after multi-head attention can be moved inside it:

        s(x, c) = Σ_h Σ_t softmax_t(q_hc · k_ht) (p_h · v_ht)

    (1/√d_h is in the scale that q begins with), so `p_h · v_ht` is one number per head and token
    and no `[B, C, d]` tensor is ever built: memory is O(B·H·C·T).

    Two choices decide how well it transfers to classes never seen:

    - Queries are a fixed random isometry of the class embeddings. A learned query map is fitted on
      the few seen classes and leaves the unseen ones wherever they fall; what is known about them
      is their distance to the seen ones, and an isometry keeps it. `learned_query` lets it learn.
    - A value has a part that depends on the kind of token only. While the logits are small,
      softmax is linear and the score begins as a bilinear form of clip and class; without that
      part it is a product of two functions of the clip, and learns slowly.
    """

    def __init__(
        self, width: int, text_dim: int, heads: int, head_dim: int, learned_query: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(text_dim, heads * head_dim, bias=learned_query)
        # An isometry up to its scale: a unit class embedding gives logits of about 0.3 · |k|.
        nn.init.orthogonal_(self.to_query.weight, gain=0.3 * math.sqrt(heads))
        self.to_query.requires_grad_(learned_query)
        self.to_key = nn.Linear(width, heads * head_dim)
        # p·v is linear in the token, so the value map and p are one map of H outputs.
        self.to_value = nn.Linear(width, heads, bias=False)
        nn.init.zeros_(self.to_value.weight)
        self.kind_value = nn.Parameter(torch.randn(3, heads) / math.sqrt(heads))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def attention(self, fused: Fused, classes: Tensor) -> Tensor:
        """Attention `[H, T, B, C]` of each class over the clip's tokens; sums to 1 over T."""
        query = self.to_query(F.normalize(classes, dim=-1))
        query = query.unflatten(-1, (self.heads, -1)).permute(1, 2, 0)  # [H, dh, C]
        key = self.to_key(fused.tokens).unflatten(-1, (self.heads, -1)).permute(2, 1, 0, 3)
        # Padding is masked within the product: a pass over [H, T, B, C] less, and another backward.
        mask = torch.zeros_like(fused.real, dtype=key.dtype).masked_fill(~fused.real, -torch.inf)
        logits = torch.baddbmm(mask.T.reshape(1, -1, 1), key.flatten(1, 2), query)
        return torch.unflatten(logits, 1, key.shape[1:3]).softmax(dim=1)  # [H, T, B, C]

    def value(self, fused: Fused) -> Tensor:
        """`p_h · v_ht` for every clip, `[H, T, B]`."""
        value: Tensor = self.to_value(fused.tokens) + self.kind_value[fused.kinds]  # [B, T, H]
        return value.permute(2, 1, 0)

    def forward(self, fused: Fused, classes: Tensor) -> Tensor:  # -> [B, C]
        weighted = self.attention(fused, classes) * self.value(fused)[..., None]
        return self.log_scale.exp() * weighted.sum(dim=(0, 1))


class DecoderSimilarity(nn.Module):
    """Attention with a residual and a feed-forward block around it, as in a decoder layer."""

    def __init__(
        self, width: int, text_dim: int, heads: int, head_dim: int, mlp: int, dropout: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(text_dim, width)
        self.query_norm = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, heads * head_dim)
        self.to_key_value = nn.Linear(width, 2 * heads * head_dim)
        self.to_out = nn.Linear(heads * head_dim, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp), nn.GELU(), Dropout(dropout), nn.Linear(mlp, width)
        )
        self.score_norm = nn.LayerNorm(width)
        self.to_score = nn.Linear(width, 1)

    def forward(self, fused: Fused, classes: Tensor) -> Tensor:  # -> [B, C]
        tokens, real = fused.tokens, fused.real
        x = self.embed(classes)  # [C, d]
        query = self.to_query(self.query_norm(x)).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        key, value = (
            self.to_key_value(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # each [B, H, T, dh]
        attended = F.scaled_dot_product_attention(
            query.expand(len(tokens), -1, -1, -1), key, value, attn_mask=real[:, None, None, :]
        )  # [B, H, C, dh]
        x = x + self.to_out(attended.transpose(1, 2).flatten(-2))  # [B, C, d]
        x = x + self.mlp(self.mlp_norm(x))
        scores: Tensor = self.to_score(self.score_norm(x))[..., 0]
        return scores


class CosineSimilarity(nn.Module):
    """Cosine between the projected mean of the real tokens and the class embedding.

    Divided by a learned temperature. The mean, not the class token alone: that one holds nothing
    at the start of training, or without fusion layers.
    """

    def __init__(self, width: int, text_dim: int, temperature: float = 0.05) -> None:
        super().__init__()
        self.project = nn.Linear(width, text_dim)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, fused: Fused, classes: Tensor) -> Tensor:  # -> [B, C]
        real = fused.real[..., None]
        mean = (fused.tokens * real).sum(dim=1) / real.sum(dim=1)
        clip = F.normalize(self.project(mean), dim=-1)
        # At most 100, as in CLIP: an unbounded scale lets the loss fall without learning.
        scale = self.log_scale.clamp(max=math.log(100.0)).exp()
        return scale * clip @ F.normalize(classes, dim=-1).T
