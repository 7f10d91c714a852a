"""Scores that a network starts from: frozen ones, and a closed form that is solved beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.best.closed_form import UnitInput, carried, linear_kernel, seen_classifier
from ezav.methods.common.centring import centred
from ezav.methods.common.label_words import LabelHead
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.metrics.smoothed import smoothed_gamma

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
"""Among these the weight of frozen scores is looked for."""
SHARE = 0.2
"""What a network weighs beside a closed form, both at standard deviation 1."""
WORDS = 0.5
"""The weight of frozen scores beside a closed form's: the fixed sum that `best` is measured by."""


class FrozenPrior(Method):
    """Frozen scores with standard deviation 1 over the training clips and classes.

    They are the words of the labels that an encoder of the store knows, or else the cosines with
    text in the features' own space (:class:`ZeroShot` makes both). A clip without the modality
    that they read has 0 for every class.

    Raises:
        EzavError: in `prepare`, there are neither, or no training clip has any.

    Example:
        >>> prior = FrozenPrior(Dims(audio=2, visual=3, text=3))
        >>> clips = Tokens.pooled(torch.zeros(2, 2)), Tokens.pooled(torch.eye(3)[:2])
        >>> prior.prepare(*clips, torch.tensor([0, 1]), torch.eye(3)[:2])
        >>> prior.scores(*clips, torch.eye(3)).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    Config = ZeroShotConfig
    trainable = False
    title = "frozen scores"
    scale_: Tensor

    def __init__(self, dims: Dims) -> None:
        super().__init__(ZeroShotConfig(), dims)
        self.words = ZeroShot(ZeroShotConfig(words=True), dims)
        shares = dims.text in (dims.audio, dims.visual, dims.audio + dims.visual)
        self.shared = ZeroShot(ZeroShotConfig(), dims) if shares else None
        self.register_buffer("scale_", torch.ones(()))

    def know_labels(self, head: LabelHead) -> None:
        self.words.know_labels(head)

    @property
    def has_any(self) -> bool:
        """There are labels, or the features are in the text's space."""
        return self.shared is not None or (self.words.words is not None and self.words.words.knows)

    @property
    def _frozen(self) -> ZeroShot:
        if self.shared is None or (self.words.words is not None and self.words.words.knows):
            return self.words
        return self.shared

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the scale, and of words what all clips and all classes share."""
        frozen = self._frozen
        if not self.has_any:
            raise EzavError(
                'the store has no frozen scores for `config.prior="frozen"`: no encoder of it knows'
                " labels that its text encoder reads, and its features are not in the text's space",
                'extract with efficientnet or with CLIP and its text; or `config.prior="none"`',
            )
        frozen.prepare(audio, visual, labels, classes)
        self.scale_.fill_(1.0)
        spread = self.scores(audio, visual, classes).std(correction=0)
        if not float(spread) > 0:
            raise EzavError(
                "the frozen scores say the same of every class: no training clip has the modality"
                " that they read",
                'leave `config.modalities` out, or `config.prior="none"`',
            )
        self.scale_.copy_(spread)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        scaled: Tensor = self._frozen.scores(audio, visual, class_embeddings) / self.scale_
        return scaled


class ClosedPrior(Method):
    """ESZSL's scores, standard deviation 1, plus half the frozen ones where there are any.

    A clip that ESZSL was solved with has scores there that it will never have again. So training
    asks :meth:`without_own`: what ESZSL says of a clip when it is solved without it. The ridge
    regression's leverage gives that exactly, from the clip and its label alone.

    Args:
        dims: of the features and the text.
        in_loss: :meth:`without_own` will be asked; it needs the inverse of a large matrix.

    Example:
        >>> prior = ClosedPrior(Dims(audio=2, visual=3, text=4))
        >>> clips = Tokens.pooled(torch.zeros(2, 2)), Tokens.pooled(torch.eye(3)[:2])
        >>> prior.prepare(*clips, torch.tensor([0, 1]), torch.eye(4)[:2])
        >>> [round(score, 2) for score in prior.scores(*clips, torch.eye(4)[:2])[0].tolist()]
        [1.0, -1.0]
        >>> less = prior.without_own(*clips, torch.tensor([0, 1]), torch.eye(4)[:2])
        >>> [round(score, 2) for score in less[0].tolist()]
        [0.75, -0.75]
    """

    Config = ZeroShotConfig
    trainable = False
    scale_: Tensor
    text_mean_: Tensor
    classes_: Tensor
    weight_: Tensor
    carrier_: Tensor
    inverse_: Tensor

    def __init__(self, dims: Dims, in_loss: bool = True) -> None:
        super().__init__(ZeroShotConfig(), dims)
        self.in_loss = in_loss
        self.frozen = FrozenPrior(dims)
        self.audio, self.visual = UnitInput(dims.audio), UnitInput(dims.visual)
        width = dims.audio + dims.visual
        self.register_buffer("scale_", torch.ones(()))
        self.register_buffer("text_mean_", torch.zeros(dims.text))
        self.register_buffer("classes_", torch.zeros(0, dims.text))
        self.register_buffer("weight_", torch.zeros(width, 0))
        self.register_buffer("carrier_", torch.zeros(0, 0))
        # Needed while training alone.
        self.register_buffer("inverse_", torch.zeros(0, 0), persistent=False)

    def know_labels(self, head: LabelHead) -> None:
        self.frozen.know_labels(head)

    @property
    def title(self) -> str:
        """What the scores are, for people."""
        return "closed form (ESZSL)" + (" and half the frozen scores" * self.frozen.has_any)

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Solve ESZSL on the training clips, one mean token each."""
        self.audio.fit(audio.mean(), audio.present)
        self.visual.fit(visual.mean(), visual.present)
        self.text_mean_.copy_(F.normalize(classes, dim=1).mean(dim=0))
        self.classes_ = centred(classes, self.text_mean_)
        inputs = self._inputs(audio, visual)
        self.weight_ = seen_classifier(inputs, labels, len(classes))
        own = linear_kernel(self.classes_, self.classes_)
        self.carrier_ = carried(torch.eye(len(own), device=own.device), own, 1.0)
        if self.in_loss:
            gram = inputs.double().T @ inputs.double()
            gram.diagonal().add_(1.0)
            self.inverse_ = torch.cholesky_inverse(torch.linalg.cholesky(gram)).float()
        self.scale_.fill_(1.0)
        spread = (inputs @ self.weight_ @ self._to_names(classes)).std(correction=0)
        if float(spread) > 0:
            self.scale_.copy_(spread)
        if self.frozen.has_any:
            self.frozen.prepare(audio, visual, labels, classes)

    def _inputs(self, audio: Tokens, visual: Tokens) -> Tensor:
        unit = self.audio(audio.mean(), audio.present), self.visual(visual.mean(), visual.present)
        return torch.cat(unit, dim=1)

    def _to_names(self, classes: Tensor) -> Tensor:
        """`[S, C]`: what each training class says of each name."""
        return self.carrier_ @ linear_kernel(self.classes_, centred(classes, self.text_mean_))

    def _with_frozen(
        self, solved: Tensor, audio: Tokens, visual: Tokens, classes: Tensor
    ) -> Tensor:
        scores = solved @ self._to_names(classes) / self.scale_
        if self.frozen.has_any:
            scores = scores + WORDS * self.frozen.scores(audio, visual, classes)
        return scores

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        solved = self._inputs(audio, visual) @ self.weight_
        return self._with_frozen(solved, audio, visual, class_embeddings)

    def without_own(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> Tensor:
        """Scores of training clips by an ESZSL that was solved without each of them, `[N, C]`.

        Args:
            audio, visual: the clips.
            labels: long `[N]`, rows of the training classes.
            classes: `[C, text]`, any names.
        """
        inputs = self._inputs(audio, visual)
        leverage = ((inputs @ self.inverse_) * inputs).sum(dim=1, keepdim=True)
        own = F.one_hot(labels, len(self.classes_)).to(inputs)
        solved = (inputs @ self.weight_ - leverage * own) / (1 - leverage)
        return self._with_frozen(solved, audio, visual, classes)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("classes_", "weight_", "carrier_"):
            given = state.get(prefix + name)
            if isinstance(given, Tensor) and given.ndim == 2:
                setattr(self, name, torch.zeros_like(given))
        super()._load_from_state_dict(state, prefix, *rest)


def best_weight(
    parts: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]], begin: float = 0.0
) -> float:
    """The weight b with the best HM of `network + b · frozen`, the mean over evaluations.

    HM is that around its best gamma (:func:`smoothed_gamma`), so that no single clip decides.

    Args:
        parts: (network `[N, C]`, frozen `[N, C]`, targets long `[N]`, seen bool `[C]`) each.
        begin: of equally good ones the nearest to this.

    Example:
        >>> network, frozen = torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.eye(2)
        >>> best_weight([(network, frozen, torch.tensor([0, 1]), torch.tensor([True, False]))]) > 0
        True
    """
    found = {}
    for weight in WEIGHTS:
        scored = [(net + weight * frozen, targets, seen) for net, frozen, targets, seen in parts]
        unit = sum(float(one[0].double().std()) for one in scored) / len(scored)
        if unit > 0:
            found[weight] = smoothed_gamma(scored, unit).around
    if not found:
        return begin
    most = max(found.values())
    return min((b for b in found if found[b] >= most - 1e-9), key=lambda b: abs(b - begin))


def fixed_weight(networks: Sequence[Tensor]) -> float:
    """The weight of a closed form beside a network that is to say :data:`SHARE` of what it says.

    A weight learned on folds of few classes was worse (docs/measurements/methods.md).

    Args:
        networks: its scores `[N, C]` in each evaluation.

    Example:
        >>> round(fixed_weight([torch.tensor([[1.0, -1.0]])]), 3)  # sd 1.41, the other's is 1
        7.071
    """
    spread = sum(float(one.double().std()) for one in networks) / len(networks)
    return spread / SHARE
