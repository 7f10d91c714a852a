"""What a modality and a moment contribute: leave it out, and see what the answer loses.

Occlusion asks the method nothing but `scores`, so it holds for every method: the contribution
of a part is `log p(class | clip) - log p(class | clip without the part)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.methods.base import Method

MOMENTS = 8
"""Stretches of equal length that a clip is cut into."""
_CLIPS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions to the log probability of the C candidates, for one clip.

    Attributes:
        modalities: "audio" and "visual" -> `[C]`; empty unless the clip has both.
        edges: `[M+1]` seconds; empty when the features have no time.
        alone: `[M, C]` probabilities from each moment alone; NaN where it holds nothing.
        moments: `[M, C]` contributions; NaN where the moment is all there is.
    """

    modalities: dict[str, Tensor]
    edges: Tensor
    alone: Tensor
    moments: Tensor


@torch.inference_mode()
def explain(
    method: Method,
    clips: FeatureSet,
    durations: Tensor,
    class_embeddings: Tensor,
    log_probabilities: Callable[[Tensor], Tensor],
) -> list[Explanation]:
    """Explain every clip by occlusion.

    Args:
        method: in eval mode.
        clips: N clips with all their tokens.
        durations: seconds `[N]`; 0 where unknown (then the last token tells).
        class_embeddings: `[K, d]`.
        log_probabilities: scores `[n, K]` to log probabilities `[n, C]` of the candidates.
    """
    method.eval()
    out: list[Explanation] = []
    for start in range(0, len(clips), _CLIPS_AT_ONCE):
        index = torch.arange(start, min(start + _CLIPS_AT_ONCE, len(clips)))
        audio = clips.audio.gather(index).to(method.device)
        visual = clips.visual.gather(index).to(method.device)
        asked = _Asked(method, class_embeddings.to(method.device), log_probabilities)
        out += _explain(asked, audio, visual, durations[index])
    return out


@dataclass(frozen=True, slots=True)
class _Asked:
    method: Method
    class_embeddings: Tensor
    log_probabilities: Callable[[Tensor], Tensor]

    def __call__(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Log probabilities `[n, C]`, on the CPU."""
        if not self.method.uses_time:
            audio, visual = (Tokens.pooled(x.mean(), x.present) for x in (audio, visual))
        scores = self.method.scores(audio, visual, self.class_embeddings)
        return self.log_probabilities(scores.cpu())


def _explain(asked: _Asked, audio: Tokens, visual: Tokens, durations: Tensor) -> list[Explanation]:
    whole = asked(audio, visual)
    without_audio = asked(audio.without(), visual)
    without_visual = asked(audio, visual.without())
    both = (audio.present & visual.present).tolist()
    edges = _edges(audio, visual, durations)
    timed = edges[:, -1] > 0
    alone, left = [], []
    for moment in range(MOMENTS):
        inside = [_inside(x, edges[:, moment], edges[:, moment + 1]) for x in (audio, visual)]
        alone.append(_ask(asked, audio, visual, inside).exp())
        rest = _ask(asked, audio, visual, [~mask for mask in inside])
        left.append(torch.where(_any(audio, visual, inside)[:, None], whole - rest, 0))
    alone_all, left_all = torch.stack(alone, 1), torch.stack(left, 1)  # [n, M, C]
    result = []
    for row in range(len(whole)):
        modalities = (
            {
                "audio": whole[row] - without_audio[row],
                "visual": whole[row] - without_visual[row],
            }
            if both[row]
            else {}
        )
        cut = MOMENTS if bool(timed[row]) else 0
        result.append(
            Explanation(
                modalities=modalities,
                edges=edges[row] if cut else edges[row, :0],
                alone=alone_all[row, :cut],
                moments=left_all[row, :cut],
            )
        )
    return result


def _ask(asked: _Asked, audio: Tokens, visual: Tokens, keep: list[Tensor]) -> Tensor:
    """Log probabilities with only some tokens kept; NaN where nothing is left."""
    some = _any(audio, visual, keep)
    answer = asked(_keep(audio, keep[0]), _keep(visual, keep[1]))
    return answer.masked_fill(~some[:, None], torch.nan)


def _any(audio: Tokens, visual: Tokens, keep: list[Tensor]) -> Tensor:
    return ((audio.mask & keep[0]).any(1) | (visual.mask & keep[1]).any(1)).cpu()


def _keep(tokens: Tokens, keep: Tensor) -> Tokens:
    mask = tokens.mask & keep
    return Tokens(tokens.values * mask[..., None], mask, tokens.times)


def _inside(tokens: Tokens, start: Tensor, end: Tensor) -> Tensor:
    times = tokens.times
    return (times >= start.to(times)[:, None]) & (times < end.to(times)[:, None])


def _edges(audio: Tokens, visual: Tokens, durations: Tensor) -> Tensor:
    """Seconds `[n, M+1]`; all 0 for a clip whose tokens have no time."""
    last = torch.stack([x.times.masked_fill(~x.mask, 0).amax(1).cpu() for x in (audio, visual)])
    many = (audio.mask.sum(1).cpu() > 1) | (visual.mask.sum(1).cpu() > 1)
    last = last.amax(0)
    # A token's time is its middle: the clip goes on after the last one.
    end = torch.maximum(durations.float(), last * 1.001 + 1e-3)
    end = torch.where(many & (last > 0), end, 0)
    return end[:, None] * torch.linspace(0, 1, MOMENTS + 1)
