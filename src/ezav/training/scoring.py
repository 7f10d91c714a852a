"""Scores of many clips for many classes, within a bounded working memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ezav.encoders.base import LARGEST
from ezav.features.feature_set import FeatureSet
from ezav.features.header import MODALITIES
from ezav.features.reason import refuse_beyond_reason
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

    Raises:
        DamagedError: a clip's features are not finite, or beyond reason; it is named.
    """
    method.eval()
    device = method.device
    class_embeddings = class_embeddings.to(device)
    pooled = not method.uses_time
    lengths = torch.ones(len(clips), dtype=torch.long)
    if not pooled:
        lengths = torch.maximum(clips.audio.lengths, clips.visual.lengths)
    most = working // max(1, len(class_embeddings) * method.scoring_cost)
    out = torch.empty(len(clips), len(class_embeddings))
    for start, end in _blocks(lengths, most):
        index = torch.arange(start, end, device=clips.labels.device)
        audio, visual = (one.gather(index, pooled=pooled) for one in (clips.audio, clips.visual))
        for modality, tokens in (("audio", audio), ("visual", visual)):
            if modality in (method.modalities or MODALITIES):
                largest = tokens.values.abs().amax(dim=(1, 2))
                if not bool((largest <= LARGEST).all()):
                    row = int((~(largest <= LARGEST)).nonzero()[0])
                    refuse_beyond_reason(modality, tokens.values[row], clips.clips[start + row])
        out[start:end] = method.scores(audio.to(device), visual.to(device), class_embeddings)
    return out


def _blocks(lengths: Tensor, most: int) -> Iterator[tuple[int, int]]:
    """Rows in stretches of at most `most` clips and `TOKENS` tokens once padded, one clip at least.

    Example:
        >>> list(_blocks(torch.tensor([1, 2000, 2000, 5000, 1]), most=3))
        [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    start = longest = 0
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        count = row + 1 - start
        if count > 1 and (count > most or count * longest > TOKENS):
            yield start, row
            start, longest = row, length
    if start < len(lengths):
        yield start, len(lengths)
