"""Methods that bring clips and class texts together in an :class:`AlignmentHead`."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Loss, Method
from ezav.methods.common.log_pass import LogPass
from ezav.methods.common.losses import summed
from ezav.methods.common.scoring import negative_distance


class AlignmentMethod(LogPass, Method):
    """TCaF's losses and scores, whatever the network below its heads."""

    @abstractmethod
    def loss_parts(self, batch: Batch) -> dict[str, Tensor]:
        """The three losses, see :meth:`AlignmentHead.loss_parts`."""

    @abstractmethod
    def embed(self, audio: Tokens, visual: Tokens, text: Tensor) -> tuple[Tensor, Tensor]:
        """N clips and texts `[C, text_dim]` in the shared space: theta_o `[N, d]`, theta_w."""

    @property
    def log_pass(self) -> bool:
        """Repeat the pass that the released code makes for its log, see :class:`LogPass`."""
        return False

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy over the training classes, regression and reconstruction."""
        self.catch_up()
        parts = self.loss_parts(batch)
        if self.log_pass:
            text = batch.class_embeddings[batch.labels]
            self.after_the_step(lambda: self.embed(batch.audio, batch.visual, text))
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        return negative_distance(*self.embed(audio, visual, class_embeddings))
