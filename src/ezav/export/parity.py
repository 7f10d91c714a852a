"""The proof of an export: a runtime's numbers beside torch's, on random and on real clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.export.graph import OUTPUTS, Graph, Inputs
from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims

TOLERANCE = 1e-4
"""Largest difference from torch, as a fraction of the largest score (at least 1)."""
SHAPES = ((3, 4, 5, 6), (1, 1, 1, 1), (1, 7, 2, 30), (5, 1, 3, 2), (2, 3, 1, 11))
"""Clips, sound tokens, picture tokens, classes of the random batches that are compared."""


Runtime = Callable[[Inputs], Sequence[Tensor]]
"""Scores and probabilities of one batch of inputs, as a runtime gives them."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The largest differences from torch over all inputs compared.

    Attributes:
        inputs: how many batches were compared.
        scores, probabilities: largest absolute differences.
    """

    runtime: str
    inputs: int
    scores: float
    probabilities: float


def compare(runtime: str, graph: Graph, run: Runtime, batches: Sequence[Inputs]) -> Parity:
    """The largest differences between `run` and the method's own scores.

    Args:
        runtime: what messages call it.
        graph: the method and its calibration.
        run: one batch of inputs -> scores and probabilities.
        batches: what is compared.

    Raises:
        EzavError: a difference is above `TOLERANCE`.
    """
    worst = [0.0, 0.0]
    for one in batches:
        wanted = reference(graph, one)
        allowed = TOLERANCE * max(1.0, float(wanted[0].abs().max()))
        for place, (found, right) in enumerate(zip(run(one), wanted)):
            difference = float((found - right).abs().max())
            worst[place] = max(worst[place], difference)
            if not difference <= (allowed if place == 0 else TOLERANCE):
                raise EzavError(
                    f"the exported graph differs from torch by {difference:.2g} in {runtime} "
                    f"(input of shape {tuple(one[0].shape)}, {OUTPUTS[place]})",
                    "this method cannot be exported faithfully; report it",
                )
    return Parity(runtime=runtime, inputs=len(batches), scores=worst[0], probabilities=worst[1])


@torch.inference_mode()
def reference(graph: Graph, one: Inputs) -> tuple[Tensor, Tensor]:
    """Scores and probabilities by the method's own `scores`, as `score_all` calls it."""
    method = graph.method
    sound, picture = Tokens(*one[0:3]), Tokens(*one[3:6])
    if not method.uses_time:
        sound, picture = (Tokens.pooled(x.mean(), x.present) for x in (sound, picture))
    scores = method.scores(sound, picture, one[6])
    scores = scores - graph.gamma * one[7]
    none = graph.none.double().expand(len(scores), 1)
    more = torch.cat([scores.double(), none], dim=1)
    return scores, (more / graph.temperature).softmax(dim=1)[:, :-1].float()


def random_batch(dims: Dims, shape: tuple[int, int, int, int], seed: int) -> Inputs:
    """Random tokens, some padded; of three clips or more, one has no sound and one no picture.

    Args:
        dims: of the method.
        shape: as in `SHAPES`.
    """
    clips, sound, picture, classes = shape
    draw = torch.Generator().manual_seed(seed)
    parts: list[Tensor] = []
    for number, (length, dim) in enumerate(((sound, dims.audio), (picture, dims.visual))):
        mask = torch.arange(length) < torch.randint(1, length + 1, (clips, 1), generator=draw)
        if clips > 2:
            mask[number] = False
        values = torch.randn(clips, length, dim, generator=draw) * mask[..., None]
        times = torch.arange(length).expand(clips, length) * 0.5 * mask
        parts += [values, mask, times]
    vectors = torch.nn.functional.normalize(torch.randn(classes, dims.text, generator=draw), dim=1)
    return (*parts, vectors, torch.arange(classes) % 2 == 0)


def real_batches(clips: FeatureSet, vectors: Tensor, seen: Tensor) -> list[Inputs]:
    """All clips as one padded batch (at most 64), then the first alone."""
    batches: list[Inputs] = []
    for index in (torch.arange(min(64, len(clips))), torch.arange(1)):
        tokens = clips.audio.gather(index), clips.visual.gather(index)
        parts = [part for one in tokens for part in (one.values, one.mask, one.times)]
        batches.append((*parts, vectors, seen))
    return batches
