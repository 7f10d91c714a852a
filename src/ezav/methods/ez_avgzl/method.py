"""EZ-AVGZL: optimised class embeddings, cross-modal fusion, a contrastive loss over class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, HeldOut, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.config_check import Settings
from ezav.methods.common.label_words import LabelHead
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.network import (
    AttentionSimilarity,
    CosineSimilarity,
    DecoderSimilarity,
    Fused,
    Fusion,
)
from ezav.methods.ez_avgzl.prior import ClosedPrior, FrozenPrior, best_weight, fixed_weight


class TokenShares(NamedTuple):
    """What each of a clip's T tokens (class token, audio, visual) gave to each class's score.

    Attributes:
        attention: `[B, C, T]`, mean over heads; sums to 1 over T.
        contribution: `[B, C, T]`; with `prior` its sum over T is the score, exactly.
        real: bool `[B, T]`; both are zero where it is False.
        kinds: long `[T]`, CLASS, AUDIO or VISUAL of `network.py`.
        times: `[B, T]`, the middle of a token in seconds; 0 for the class token.
        prior: `[B, C]`, what the prior adds, which comes from no token; 0 without one.
    """

    attention: Tensor
    contribution: Tensor
    real: Tensor
    kinds: Tensor
    times: Tensor
    prior: Tensor


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
    prior_weight_: Tensor

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

        one = replace(c, members=1, prior="none")
        self.others = nn.ModuleList(EzAvgzl(one, dims) for _ in range(c.members - 1))
        self.prior: FrozenPrior | ClosedPrior | None = None
        if c.prior != "none":
            in_loss = c.prior_weight > 0
            self.prior = FrozenPrior(dims) if c.prior == "frozen" else ClosedPrior(dims, in_loss)
            self.register_buffer("prior_weight_", torch.tensor(c.prior_weight))

        tokens = 64 if c.temporal else 3
        self.scoring_cost = 2 * (c.width + c.mlp if c.similarity == "decoder" else c.heads * tokens)

    @property
    def uses_time(self) -> bool:
        return self.config.temporal

    @property
    def modalities(self) -> tuple[str, ...]:
        chosen = self.config.modalities
        return ("audio", "visual") if chosen == "both" else (chosen,)

    @classmethod
    def wants_labels(cls, config: Settings) -> bool:
        return isinstance(config, EzAvgzlConfig) and config.prior != "none"

    @property
    def from_validation(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if self.prior is None else ("prior_weight_",)

    @property
    def starts_from(self) -> str:
        """What the scores are that the network starts from; empty: it starts from none.

        Example:
            >>> config = EzAvgzlConfig(prior="closed")
            >>> EzAvgzl(config, Dims(audio=4, visual=6, text=5)).starts_from
            'closed form (ESZSL)'
        """
        return "" if self.prior is None else self.prior.title

    def know_labels(self, head: LabelHead) -> None:
        """The prior is what they say."""
        if self.prior is not None:
            self.prior.know_labels(head)

    @property
    def stackable(self) -> bool:
        # Batch norm picks out the real tokens; a closed form would be inverted for every seed.
        return self.config.norm == "layer" and self.config.prior != "closed"

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the standardisation of the features, and the prior's, from the training set."""
        self.fusion.audio.standardize.learn(audio.values, audio.mask)
        self.fusion.visual.standardize.learn(visual.values, visual.mask)
        for other in self._others:
            other.prepare(audio, visual, labels, classes)
        if self.prior is not None:
            self.prior.prepare(*self._read(audio, visual), labels, classes)

    def _read(self, audio: Tokens, visual: Tokens) -> tuple[Tokens, Tokens]:
        if self.config.modalities == "audio":
            visual = visual.without()
        elif self.config.modalities == "visual":
            audio = audio.without()
        return audio, visual

    def fuse(self, audio: Tokens, visual: Tokens) -> Fused:
        """The clips' tokens after fusion, of the first member."""
        audio, visual = self._read(audio, visual)
        fused: Fused = self.fusion(
            audio.values, audio.mask, audio.times, visual.values, visual.mask, visual.times
        )
        return fused

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        networks = self._members(audio, visual, class_embeddings)
        mean = networks[0] if len(networks) == 1 else torch.stack(networks).mean(dim=0)
        if self.prior is None:
            return mean
        frozen = self.prior.scores(*self._read(audio, visual), class_embeddings)
        return mean + self.prior_weight_ * frozen

    @property
    def _others(self) -> list[EzAvgzl]:
        return [other for other in self.others if isinstance(other, EzAvgzl)]

    def _members(self, audio: Tokens, visual: Tokens, classes: Tensor) -> list[Tensor]:
        """The scores `[N, C]` of each network."""
        own: Tensor = self.similarity(self.fuse(audio, visual), classes)
        return [own, *(other.scores(audio, visual, classes) for other in self._others)]

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
        prior = fused.tokens.new_zeros(len(audio), len(class_embeddings))
        if self.prior is not None:
            frozen = self.prior.scores(*self._read(audio, visual), class_embeddings)
            prior = self.prior_weight_ * frozen
        attention = similarity.attention(fused, class_embeddings)  # [H, T, B, C]
        given = attention * similarity.value(fused)[..., None] * similarity.log_scale.exp()
        # Of several networks the mean, as in the scores.
        shares = [(attention.mean(dim=0).permute(1, 2, 0), given.sum(dim=0).permute(1, 2, 0))]
        shares += [other.inspect(audio, visual, class_embeddings)[:2] for other in self._others]
        attended, contributed = (torch.stack(part).mean(dim=0) for part in zip(*shares))
        return TokenShares(
            attention=attended,
            contribution=contributed,
            real=fused.real,
            kinds=fused.kinds,
            times=torch.cat([torch.zeros_like(audio.times[:, :1]), audio.times, visual.times], 1),
            prior=prior,
        )

    def loss(self, batch: Batch) -> Loss:
        """Equation 5: cross-entropy over the classes of the batch, summed over members.

        The sum, so that each member has the gradient that it would have alone.
        """
        networks = self._members(batch.audio, batch.visual, batch.class_embeddings)
        if self.prior is not None and self.config.prior_weight > 0:
            read = self._read(batch.audio, batch.visual)
            if isinstance(self.prior, ClosedPrior):
                said = self.prior.without_own(*read, batch.labels, batch.class_embeddings)
            else:
                said = self.prior.scores(*read, batch.class_embeddings)
            networks = [one + self.config.prior_weight * said for one in networks]
        total = self._contrast(networks[0], batch.labels)
        for scores in networks[1:]:
            total = total + self._contrast(scores, batch.labels)
        return Loss(total, {"contrastive": total.detach()})

    def _contrast(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over the classes of the batch, or all seen ones.

        A class that occurs n times in the batch stands n times in the denominator; its score is
        computed once and `log n` added: minus infinity for a class that does not occur.
        """
        if self.config.negatives == "seen":
            return F.cross_entropy(scores, labels)
        rows = torch.arange(scores.shape[1], device=scores.device)
        count = (labels[:, None] == rows).sum(dim=0)
        weight = (count if self.config.negatives == "batch" else count.clamp(max=1)).log()
        # Cross-entropy of weighted scores also weights the numerator: give that back.
        return F.cross_entropy(scores + weight, labels) + weight[labels].mean()

    def learn_on_validation(
        self, score: Callable[[Method], Tensor], targets: Tensor, seen: Tensor
    ) -> None:
        """Set the prior's weight in the scores; the arguments as :class:`Method` has them."""
        if self.prior is not None:
            self._learn([(*self._parts(score), targets, seen)])

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        """Set the prior's weight in the scores to what is best for all folds."""
        parts = []
        for fold in folds:
            if not isinstance(fold.method, EzAvgzl):
                raise TypeError(f"a fold of {type(fold.method).__name__}")
            if fold.method.prior is not None:
                held = fold.method._parts(fold.score)
                parts.append((*held, fold.clips.labels.cpu(), fold.seen.cpu()))
        if parts:
            self._learn(parts)

    def _parts(self, score: Callable[[Method], Tensor]) -> tuple[Tensor, Tensor]:
        """What the network says, and what the prior says."""
        self.prior_weight_.zero_()
        network = score(self)
        self.prior_weight_.fill_(1.0)
        return network, score(self) - network

    def _learn(self, parts: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        if self.config.prior == "closed":
            self.prior_weight_.fill_(fixed_weight([network for network, *_ in parts]))
        else:
            self.prior_weight_.fill_(best_weight(parts, self.config.prior_weight))


METHOD = EzAvgzl
