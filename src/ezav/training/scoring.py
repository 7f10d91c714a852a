"""Scores of many clips for many classes, within a bounded working memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.features.feature_set import FeatureSet
from ezav.methods.base import Method

WORKING_ELEMENTS = 8_000_000
"""Largest number of intermediate floats of one block of clips: 32 MB in float32, which took a
fifth less time than four times that on a CPU whose cache is of that order."""

TOKENS = 4096
"""Largest number of tokens of a modality in one block, padding included."""


@torch.inference_mode()
def score_all(
    method: Method, clips: FeatureSet, class_embeddings: Tensor, working: int = WORKING_ELEMENTS
) -> Tensor:
    """Scores `[N, C]` of all clips, computed in blocks; higher is better.

    A block holds at most `working` floats of clips × classes × `method.scoring_cost` (what one
    pair costs in intermediate memory), so that 100,000 clips × 1,000 classes fit in a few GB, and
    at most `TOKENS` tokens, or one clip.
    The result lies on the CPU.
    """
    method.eval()
    device = method.device
    class_embeddings = class_embeddings.to(device)
    pooled = not method.uses_time
    longest = 1
    if not pooled and len(clips):
        longest = max(1, int(clips.audio.lengths.max()), int(clips.visual.lengths.max()))
    pairs = working // max(1, len(class_embeddings) * method.scoring_cost)
    block = max(1, min(TOKENS // longest, pairs))
    out = torch.empty(len(clips), len(class_embeddings))
    for start in range(0, len(clips), block):
        index = torch.arange(start, min(start + block, len(clips)), device=clips.labels.device)
        out[start : start + block] = method.scores(
            clips.audio.gather(index, pooled=pooled).to(device),
            clips.visual.gather(index, pooled=pooled).to(device),
            class_embeddings,
        )
    return out
