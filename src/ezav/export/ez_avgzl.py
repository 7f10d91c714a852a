"""EZ-AVGZL without branches on values: the same numbers in eval mode, and a graph that traces.

In training only real tokens may pass the embedding nets (padding would shift batch statistics),
and masks are skipped where nothing is padded. In eval mode batch normalisation is a fixed affine
map, so every row can pass and be masked afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.network import (
    AUDIO,
    CLASS,
    VISUAL,
    AttentionSimilarity,
    Fusion,
    TokenEmbedding,
    cross_modal_mask,
)


def scores_without_branches(method: EzAvgzl) -> Callable[[Tokens, Tokens, Tensor], Tensor]:
    """`method.scores` for a method in eval mode, with every dimension free."""

    def scores(audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        if method.config.modalities == "audio":
            visual = visual.without()
        elif method.config.modalities == "visual":
            audio = audio.without()
        tokens, real = fuse(method.fusion, audio, visual, temporal=method.uses_time)
        if isinstance(method.similarity, AttentionSimilarity):
            return attend(method.similarity, tokens, real, class_embeddings)
        found: Tensor = method.similarity(tokens, real, class_embeddings)
        return found

    return scores


def embed(embedding: TokenEmbedding, tokens: Tokens) -> Tensor:
    """Every row `[B, T, dim]` through the net, zero where masked: `[B, T, d]`."""
    dim = tokens.values.shape[-1]
    rows = embedding.layers(embedding.standardize(tokens.values.reshape(-1, dim)))
    embedded = rows.view(*tokens.mask.shape, embedding.width)
    return embedded * tokens.mask[..., None].to(embedded.dtype)


def fuse(fusion: Fusion, audio: Tokens, visual: Tokens, temporal: bool) -> tuple[Tensor, Tensor]:
    """Fused tokens `[B, 1 + T_a + T_v, d]` and which are real."""
    a = embed(fusion.audio, audio) + fusion.kind[AUDIO]
    v = embed(fusion.visual, visual) + fusion.kind[VISUAL]
    if temporal:
        # One token in each modality is a pooled clip, which has no time.
        tokens = torch.ones_like(audio.mask[0]).sum() + torch.ones_like(visual.mask[0]).sum()
        many = (tokens > 2).to(a.dtype)
        a, v = a + many * fusion.time(audio.times), v + many * fusion.time(visual.times)
    head = (fusion.class_token + fusion.kind[CLASS]).expand(a.shape[0], 1, -1)
    x = torch.cat([head, a, v], dim=1)
    always = torch.ones_like(audio.mask[:, :1])
    real = torch.cat([always, audio.mask, visual.mask], dim=1)
    kinds = torch.cat(
        [
            torch.full_like(always[0], CLASS, dtype=torch.long),
            torch.full_like(audio.mask[0], AUDIO, dtype=torch.long),
            torch.full_like(visual.mask[0], VISUAL, dtype=torch.long),
        ]
    )
    allowed = cross_modal_mask(kinds, real)
    for layer in fusion.layers:
        x = layer(x, allowed)
    return fusion.norm(x), real


def attend(
    similarity: AttentionSimilarity, tokens: Tensor, real: Tensor, classes: Tensor
) -> Tensor:
    """Scores `[B, C]` of the attention similarity."""
    heads, size = similarity.heads, similarity.head_dim
    query = similarity.to_query(classes).unflatten(-1, (heads, size)).transpose(0, 1)
    key = similarity.to_key(tokens).unflatten(-1, (heads, size)).transpose(1, 2)  # [B, H, T, dh]
    logits = key @ (query.transpose(1, 2) / math.sqrt(size))  # [B, H, T, C]
    logits = logits.masked_fill(~real[:, None, :, None], -torch.inf)
    value = similarity.to_value(tokens).transpose(1, 2)[..., None]  # [B, H, T, 1]
    return (logits.softmax(dim=2) * value).sum(dim=(1, 2))
