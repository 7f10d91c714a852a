"""The extra pass that the released training steps make for their log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class LogPass(nn.Module):
    """After its optimiser's step, the authors' code embeds the batch once more in training mode.

    Nothing uses the result, but BatchNorm's running statistics move. Here a loss that is to repeat
    it leaves the pass waiting (:meth:`after_the_step`); it is made, with the weights of then,
    before the next loss (:meth:`catch_up`), or before the module changes its mode.

    Example:
        >>> class Net(LogPass):
        ...     def loss(self):
        ...         self.catch_up()
        ...         self.after_the_step(lambda: print("embedded again"))
        >>> net = Net()
        >>> net.loss()
        >>> _ = net.eval()
        embedded again
    """

    _waiting: Callable[[], Any] | None = None

    def after_the_step(self, embed: Callable[[], Any]) -> None:
        """Have `embed` called once the step is done; only in training mode."""
        if self.training:
            self._waiting = embed

    @torch.no_grad()
    def catch_up(self) -> None:
        """Make the pass that waits, if one does."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()

    def train(self, mode: bool = True) -> LogPass:
        self.catch_up()
        super().train(mode)
        return self
