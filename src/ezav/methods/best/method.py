"""Best: a learned stack of closed forms and frozen scores, the default of `ezav run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, HeldOut, Method, Worth
from ezav.methods.best.logit import (
    SHARPNESS,
    FoldScores,
    Stack,
    fit_stack,
    hm_on_folds,
    single,
    worth_of,
)
from ezav.methods.best.members import FORMS, ClosedForms, FrozenScores
from ezav.methods.common.card import Card
from ezav.methods.common.centring import aligned_scores, centred
from ezav.methods.common.few_shot import USUAL, FewShot, FewShotFold, fit_few_shot
from ezav.methods.common.label_words import LabelHead, LabelWords
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.metrics.smoothed import smoothed_gamma

FROZEN, WORDS, LABELS = "frozen", "words", "labels"
START = {"kernel": 0.5, "linear": 0.5, FROZEN: 0.45, WORDS: 0.225, LABELS: 0.225}
"""The weights that few classes are pulled towards; 0 for the other members."""
GAMMA = 1.3
"""What the logit's gamma is pulled towards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestConfig:
    """What is stacked, and how."""

    visual_weight: float | None = None
    """Give the visual score this share in the frozen ones, for features in the text's own space
    (CLIP, CLAP); None uses no frozen scores."""
    words: bool = True
    """Use the labels that the store's encoder knows by name, where it knows some."""
    pull: float = 0.7
    """Pull the weights towards fixed ones this strongly: by this divided by the number of known
    classes. 0 trusts the folds alone."""

    def __post_init__(self) -> None:
        if self.visual_weight is not None and not 0 <= self.visual_weight <= 1:
            raise EzavError(f"visual_weight {self.visual_weight} is outside [0, 1]")
        if self.pull < 0:
            raise EzavError(f"pull {self.pull} is negative")


class Best(Method):
    """Scores `f · w + seen · f · v` over members' scores f; w and v are learned on class folds.

    Raises:
        EzavError: frozen scores are wanted, but the class vectors share no space with features.

    Example:
        >>> method = Best(BestConfig(), Dims(audio=2, visual=3, text=5))
        >>> method.names
        ('kernel', 'linear', 'identity')
        >>> clips = Tokens.pooled(torch.randn(4, 2)), Tokens.pooled(torch.randn(4, 3))
        >>> method.prepare(*clips, torch.tensor([0, 1, 0, 1]), torch.eye(5)[:2])
        >>> method.scores(*clips, torch.eye(5)).shape
        torch.Size([4, 5])
    """

    Config = BestConfig
    config: BestConfig
    trainable = False
    folds: ClassVar[int] = 6
    reads_labels: ClassVar[bool] = True
    from_validation: ClassVar[tuple[str, ...]] = (
        "weights_",
        "seen_weights_",
        "worth_",
        "few_shot_",
    )
    card: ClassVar[Card] = Card(
        title="Best",
        paper="none of its own; ESZSL (ICML 2015) and its relatives, stacked (Wolpert, 1992)",
        year=2026,
        parity="naive formulations of every member; the logit against a numerical minimiser",
    )
    forms: ClosedForms
    words: LabelWords
    frozen: FrozenScores | None
    words_mean_: Tensor
    usual_labels_: Tensor
    weights_: Tensor
    seen_weights_: Tensor
    worth_: Tensor
    scale_: Tensor
    few_shot_: Tensor

    def __init__(self, config: BestConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.forms = ClosedForms(dims.audio, dims.visual, dims.text)
        self.frozen = None
        if config.visual_weight is not None:
            asked = ZeroShot(ZeroShotConfig(visual_weight=config.visual_weight), dims)
            self.frozen = FrozenScores(
                asked.visual_text,
                asked.audio_text,
                config.visual_weight,
                audio=dims.audio,
                visual=dims.visual,
            )
        self.words = LabelWords(dims.audio, dims.visual, dims.text)
        self.register_buffer("words_mean_", torch.zeros(dims.text))
        self.register_buffer("usual_labels_", torch.zeros(0))
        for name in ("weights_", "seen_weights_", "worth_", "scale_"):
            self.register_buffer(name, torch.zeros(0))
        self.register_buffer("few_shot_", torch.tensor(astuple(USUAL)))
        self._begin()

    def _begin(self) -> None:
        count = len(self.names)
        self.weights_ = self._start.float()
        self.seen_weights_ = torch.zeros(count)
        self.worth_ = torch.full((count, 2), torch.nan)
        self.scale_ = torch.ones(count)

    def know_labels(self, head: LabelHead) -> None:
        """`words` and `labels` become members."""
        self.words.know(head)
        device = self.device
        self.usual_labels_ = torch.zeros(len(head.bias))
        self._begin()
        self.to(device)

    @property
    def names(self) -> tuple[str, ...]:
        """The members, in the order of their weights."""
        frozen = (FROZEN,) if self.frozen is not None else ()
        words = (WORDS,) if self.words.knows else ()
        return (*FORMS, *frozen, *words, *((LABELS,) if len(self.usual_labels_) else ()))

    @property
    def _start(self) -> Tensor:
        return torch.tensor([START.get(name, 0.0) for name in self.names], dtype=torch.float64)

    @property
    def modalities(self) -> tuple[str, ...]:
        return ()  # one modality will do: the other is zeros

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Solve the closed forms; members' scores get standard deviation 1 over the clips."""
        self.forms.fit(audio, visual, labels, classes)
        if self.frozen is not None:
            self.frozen.fit(audio, visual, classes)
        if self.words.knows:
            shares = self.words.shares(audio, visual)
            found = self.words.words(shares)
            known = found.abs().amax(dim=1) > 0
            if bool(known.any()):
                self.words_mean_.copy_(F.normalize(found[known], dim=1).mean(dim=0))
                self.usual_labels_.copy_(shares[known].mean(dim=0))
        self.scale_.fill_(1.0)
        spread = self.members(audio, visual, classes).flatten(0, 1).std(dim=0, correction=0)
        self.scale_.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def members(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """What each member says, `[N, C, M]` in the order of `names`."""
        found = self.forms(audio, visual, class_embeddings)
        if self.frozen is not None:
            frozen = self.frozen(audio, visual, class_embeddings)
            found = torch.cat([found, frozen[:, :, None]], dim=2)
        if self.words.knows:
            shares = self.words.shares(audio, visual)
            names = centred(class_embeddings, self.forms.text_mean_)
            said = aligned_scores(self.words.words(shares), self.words_mean_, names)
            found = torch.cat([found, said[:, :, None]], dim=2)
            if len(self.usual_labels_):
                told = self.words.evidence(shares, self.usual_labels_, class_embeddings)
                found = torch.cat([found, told[:, :, None]], dim=2)
        scaled: Tensor = found / self.scale_
        return scaled

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        members = self.members(audio, visual, class_embeddings)
        seen = self.forms.is_seen(class_embeddings).to(members.dtype)
        return members @ self.weights_ + seen * (members @ self.seen_weights_)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        known = state.get(f"{prefix}words.bias")
        if isinstance(known, Tensor) and len(known) and not self.words.knows:
            # What is being loaded knew labels: more members.
            self.words.bias = torch.zeros_like(known)
            usual = state.get(f"{prefix}usual_labels_")
            if isinstance(usual, Tensor):
                self.usual_labels_ = torch.zeros_like(usual)
            self._begin()
        # A run of before it was a member has none.
        state.setdefault(f"{prefix}usual_labels_", torch.zeros(0))
        # A run of before it was learned takes what is usual.
        state.setdefault(f"{prefix}few_shot_", torch.tensor(astuple(USUAL)))
        super()._load_from_state_dict(state, prefix, *rest)

    def learn_on_folds(self, folds: Sequence[HeldOut]) -> None:
        """Learn the weights, and what every member is worth.

        Where a member alone is better on the folds than the stack, it is taken instead.
        """
        scored = [_scored(fold) for fold in folds]
        pull = self.config.pull / len(folds[0].seen)
        start = self._start
        stack = fit_stack(scored, start, GAMMA, pull)
        worth = worth_of(scored, stack, start, GAMMA, pull)
        best = max(range(len(worth)), key=lambda member: worth[member].alone)
        if worth[best].alone > hm_on_folds(scored, stack):
            stack = single(best, len(worth))
        self.weights_.copy_(stack.weights)
        self.seen_weights_.copy_(stack.seen_weights)
        self.worth_.copy_(torch.tensor([[one.alone, one.lost] for one in worth]))
        self._learn_few_shot(folds, scored, stack)

    def _learn_few_shot(
        self, folds: Sequence[HeldOut], scored: Sequence[FoldScores], stack: Stack
    ) -> None:
        """What a few clips of a class are worth, from the folds' unseen classes."""
        parts = [(stack.scores(f.members.double(), f.seen), f.targets, f.seen) for f in scored]
        gamma = smoothed_gamma(parts).gamma
        shown = [
            FewShotFold(scores - gamma * seen, targets, seen, _appearance(fold))
            for (scores, targets, seen), fold in zip(parts, folds, strict=True)
        ]
        self.few_shot_.copy_(torch.tensor(astuple(fit_few_shot(shown, SHARPNESS))))

    def appearance(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, ...]:
        return self.forms.units(audio, visual)

    @property
    def few_shot(self) -> FewShot:
        return FewShot(*self.few_shot_.tolist())

    def worth(self) -> dict[str, Worth]:
        """What each member was worth on the folds; empty before they were looked at."""
        if bool(self.worth_.isnan().any()):
            return {}
        rows = zip(self.names, self.weights_.tolist(), self.worth_.tolist(), strict=True)
        return {name: Worth(weight, *measured) for name, weight, measured in rows}


def _appearance(fold: HeldOut) -> tuple[Tensor, ...]:
    rows = torch.arange(len(fold.clips))
    audio, visual = (one.gather(rows, pooled=True) for one in (fold.clips.audio, fold.clips.visual))
    device = fold.method.device
    with torch.inference_mode():
        found = fold.method.appearance(audio.to(device), visual.to(device))
    return tuple(part.cpu().clone() for part in found)


def _scored(fold: HeldOut) -> FoldScores:
    method = fold.method
    if not isinstance(method, Best):
        raise TypeError(f"a fold of {type(method).__name__}")
    index = torch.arange(len(fold.clips))
    with torch.inference_mode():
        members = torch.cat(
            [
                method.members(
                    fold.clips.audio.gather(rows, pooled=True).to(method.device),
                    fold.clips.visual.gather(rows, pooled=True).to(method.device),
                    fold.class_embeddings.to(method.device),
                ).cpu()
                for rows in torch.split(index, 1024)
            ]
        )
    return FoldScores(members.clone(), fold.clips.labels.cpu(), fold.seen.cpu())


METHOD = Best
