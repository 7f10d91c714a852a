"""Frozen scores that a network starts from: what its features' encoders say without training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Dims, Method
from ezav.methods.common.label_words import LabelHead
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.metrics.smoothed import smoothed_gamma

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
"""Among these the weight in the scores is looked for."""


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
    def _frozen(self) -> ZeroShot:
        if self.shared is None or (self.words.words is not None and self.words.words.knows):
            return self.words
        return self.shared

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the scale, and of words what all clips and all classes share."""
        frozen = self._frozen
        if frozen is self.words and not (frozen.words is not None and frozen.words.knows):
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
