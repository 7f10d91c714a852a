"""EZ-AVGZL: optimised class embeddings, cross-modal fusion, a contrastive loss over class names."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.network import (
    AttentionSimilarity,
    CosineSimilarity,
    DecoderSimilarity,
    Fused,
    Fusion,
)


class TokenShares(NamedTuple):
    """What each of a clip's T tokens (class token, audio, visual) gave to each class's score.

    Attributes:
        attention: `[B, C, T]`, mean over heads; sums to 1 over T.
        contribution: `[B, C, T]`; sums to the score over T, exactly.
        real: bool `[B, T]`; both are zero where it is False.
        kinds: long `[T]`, CLASS, AUDIO or VISUAL of `network.py`.
        times: `[B, T]`, the middle of a token in seconds; 0 for the class token.
    """

    attention: Tensor
    contribution: Tensor
    real: Tensor
    kinds: Tensor
    times: Tensor


class EzAvgzl(Method):
    """Audio-visual generalized zero-shot learning the easy way (Mo & Morgado, ECCV 2024).

    Example:
        >>> import torch
        >>> method = EzAvgzl(EzAvgzlConfig(width=16), Dims(audio=4, visual=6, text=5)).eval()
        >>> clips = Tokens.pooled(torch.randn(2, 4)), Tokens.pooled(torch.randn(2, 6))
        >>> method.scores(*clips, torch.randn(7, 5)).shape
        torch.Size([2, 7])
    """

    Config = EzAvgzlConfig
    card: ClassVar[Card] = Card(
        title="EZ-AVGZL",
        paper="Mo & Morgado, ECCV 2024",
        year=2024,
        parity="naive formulations of the paper's equations (no code was released)",
    )
    config: EzAvgzlConfig
    one_modality = "modalities"

    def __init__(self, config: EzAvgzlConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        c = config
        self.fusion = Fusion(dims, config)
        self.similarity: AttentionSimilarity | DecoderSimilarity | CosineSimilarity
        if c.similarity == "attention":
            self.similarity = AttentionSimilarity(
                c.width, dims.text, c.heads, c.head_dim, c.learned_query
            )
        elif c.similarity == "decoder":
            self.similarity = DecoderSimilarity(
                c.width, dims.text, c.heads, c.head_dim, c.mlp, c.dropout
            )
        else:
            self.similarity = CosineSimilarity(c.width, dims.text)

        tokens = 64 if c.temporal else 3
        self.scoring_cost = 2 * (c.width + c.mlp if c.similarity == "decoder" else c.heads * tokens)

    @property
    def uses_time(self) -> bool:
        return self.config.temporal

    @property
    def modalities(self) -> tuple[str, ...]:
        chosen = self.config.modalities
        return ("audio", "visual") if chosen == "both" else (chosen,)

    @property
    def stackable(self) -> bool:
        return self.config.norm == "layer"  # batch norm picks out the real tokens

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the standardisation of the features from the training set."""
        self.fusion.audio.standardize.learn(audio.values, audio.mask)
        self.fusion.visual.standardize.learn(visual.values, visual.mask)

    def fuse(self, audio: Tokens, visual: Tokens) -> Fused:
        """The clips' tokens after fusion."""
        if self.config.modalities == "audio":
            visual = visual.without()
        elif self.config.modalities == "visual":
            audio = audio.without()
        fused: Fused = self.fusion(
            audio.values, audio.mask, audio.times, visual.values, visual.mask, visual.times
        )
        return fused

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        result: Tensor = self.similarity(self.fuse(audio, visual), class_embeddings)
        return result

    def inspect(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> TokenShares:
        """Which token, so which modality and moment, decided the score of a class.

        Raises:
            EzavError: the similarity is not `attention`.
        """
        similarity = self.similarity
        if not isinstance(similarity, AttentionSimilarity):
            raise EzavError(
                f"the similarity '{self.config.similarity}' does not attend token by token",
                'inspect a run of `config.similarity="attention"`',
            )
        fused = self.fuse(audio, visual)
        attention = similarity.attention(fused, class_embeddings)  # [H, T, B, C]
        given = attention * similarity.value(fused)[..., None] * similarity.log_scale.exp()
        return TokenShares(
            attention=attention.mean(dim=0).permute(1, 2, 0),
            contribution=given.sum(dim=0).permute(1, 2, 0),
            real=fused.real,
            kinds=fused.kinds,
            times=torch.cat([torch.zeros_like(audio.times[:, :1]), audio.times, visual.times], 1),
        )

    def loss(self, batch: Batch) -> Loss:
        """Equation 5: cross-entropy over the classes of the batch.

        A class that occurs n times in the batch stands n times in the denominator; its score is
        computed once and `log n` added: minus infinity for a class that does not occur.
        """
        scores = self.scores(batch.audio, batch.visual, batch.class_embeddings)
        if self.config.negatives == "seen":
            total = F.cross_entropy(scores, batch.labels)
        else:
            rows = torch.arange(scores.shape[1], device=scores.device)
            count = (batch.labels[:, None] == rows).sum(dim=0)
            weight = (count if self.config.negatives == "batch" else count.clamp(max=1)).log()
            # Cross-entropy of weighted scores also weights the numerator: give that back.
            total = F.cross_entropy(scores + weight, batch.labels) + weight[batch.labels].mean()
        return Loss(total, {"contrastive": total.detach()})


METHOD = EzAvgzl
