"""EZ-AVGZL with its numbers of tokens free: `Fusion.forward` lists the kinds of token in Python."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.network import AUDIO, CLASS, VISUAL, Fused, Fusion, cross_modal_mask


def scores_without_lists(method: EzAvgzl) -> Callable[[Tokens, Tokens, Tensor], Tensor]:
    """`method.scores` for a method in eval mode, as a graph in which every dimension is free."""

    def scores(audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        if method.config.modalities == "audio":
            visual = visual.without()
        elif method.config.modalities == "visual":
            audio = audio.without()
        found: Tensor = method.similarity(fuse(method.fusion, audio, visual), class_embeddings)
        return found

    return scores


def fuse(fusion: Fusion, audio: Tokens, visual: Tokens) -> Fused:
    """`Fusion.forward`, the kinds of token made as a tensor of free length."""
    a = fusion.audio(audio.values, audio.mask) + fusion.kind[AUDIO]
    v = fusion.visual(visual.values, visual.mask) + fusion.kind[VISUAL]
    if fusion.time is not None:
        a, v = a + fusion.time(audio.times), v + fusion.time(visual.times)
    head = (fusion.class_token + fusion.kind[CLASS]).expand(a.shape[0], 1, -1)
    x = torch.cat([head, a, v], dim=1)
    always = torch.ones_like(audio.mask[:, :1])
    real = torch.cat([always, audio.mask, visual.mask], dim=1)
    masks = ((always, CLASS), (audio.mask, AUDIO), (visual.mask, VISUAL))
    kinds = torch.cat([torch.full_like(m[0], kind, dtype=torch.long) for m, kind in masks])
    allowed = cross_modal_mask(kinds, real)
    for layer in fusion.layers:
        x = layer(x, allowed)
    return Fused(fusion.norm(x), real, kinds)
