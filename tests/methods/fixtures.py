"""Reference weights, inputs and outputs of the authors' own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Method
from tests.shared_data import AUTHORS


class Fixture:
    """One `*_parity.npz`, by the prefix of its keys."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(AUTHORS / f"{name}_parity.npz")

    def __getitem__(self, key: str) -> Tensor:
        array = self.arrays[key]
        tensor = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
        return tensor.float() if tensor.dtype == torch.float16 else tensor

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Every entry under `prefix/`, without the prefix."""
        start = f"{prefix}/"
        return {k[len(start) :]: self[k] for k in self.arrays.files if k.startswith(start)}

    def pooled(self, key: str) -> Tokens:
        return Tokens.pooled(self[key])

    def batch(self) -> Batch:
        """The reference batch of methods that learn by cross-entropy and regression."""
        return self.batch_with(self.pooled("batch/audio"), self.pooled("batch/video"))

    def batch_with(self, audio: Tokens, visual: Tokens) -> Batch:
        """The same of clips read otherwise."""
        return Batch(
            audio=audio,
            visual=visual,
            labels=self["batch/cls_numeric"],
            class_embeddings=self["batch/embeddings_crossentropy"],
        )


def in_double(batch: Batch) -> Batch:
    """The same batch in double precision."""

    def double(tokens: Tokens) -> Tokens:
        return Tokens(tokens.values.double(), tokens.mask, tokens.times.double())

    return replace(
        batch,
        audio=double(batch.audio),
        visual=double(batch.visual),
        class_embeddings=batch.class_embeddings.double(),
        negative=None if batch.negative is None else in_double(batch.negative),
    )


def without_dropout(module: nn.Module) -> None:
    """Set every dropout probability to 0, so that training mode is deterministic."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def close(ours: Tensor, theirs: Tensor, what: str, tolerance: float = 1e-5) -> None:
    """Equal to `tolerance` of the tensor's largest entry (at least 1).

    The reference is float32: measured against float64 it is itself up to 1e-5 of the largest
    entry off, where BatchNorm over a few clips amplifies rounding.
    """
    theirs = theirs.detach()
    scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
    torch.testing.assert_close(
        ours.detach().to(theirs.dtype),
        theirs,
        rtol=0,
        atol=tolerance * scale,
        msg=lambda m: f"{what}: {m}",
    )


def close_losses(parts: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Cross-entropy, regression and reconstruction equal the reference's."""
    for ours, name in (
        ("cross_entropy", "cross_entropy"),
        ("regression", "loss_reg"),
        ("reconstruction", "loss_cmd_rec"),
    ):
        close(parts[ours], theirs[name], ours)


def close_gradients(module: nn.Module, theirs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Every parameter has a gradient, and it equals the reference.

    A bias just before BatchNorm has gradient 0 in truth and rounding noise in the reference.
    """
    ours = dict(module.named_parameters())
    assert set(ours) == set(theirs)
    for name, gradient in theirs.items():
        noise = name.endswith("bias") and bool(gradient.abs().max() < 5e-5)
        close(ours[name].grad, gradient, name, tolerance=5e-5 if noise else tolerance)


def unread_bias(name: str, gradient: Tensor) -> bool:
    """A bias before BatchNorm: its gradient is rounding noise, which Adam blows up to a step."""
    return name.endswith("bias") and bool(gradient.abs().max() < 1e-5)


def assert_adam_stepped(
    module: nn.Module, theirs: dict[str, Tensor], learning_rate: float, weight_decay: float = 1e-5
) -> None:
    """After Adam's first step every parameter equals the reference to 1e-5.

    That step is the learning rate times the gradient's sign. Left out are the entries, less than
    one in twenty, whose gradient is so near zero that float32 does not know its sign.
    """
    compared = left_out = 0
    for name, parameter in module.named_parameters():
        if parameter.grad is None or name not in theirs or unread_bias(name, parameter.grad):
            continue
        gradient = parameter.grad + weight_decay * parameter.detach()
        known = gradient.abs() > 3e-6
        close(parameter[known], theirs[name][known], name)
        compared += int(known.sum())
        # A gradient of exactly zero belongs to a unit that is off: there is no step either.
        left_out += int((~known & (parameter.grad != 0)).sum())
    assert left_out < 0.05 * compared, f"{left_out} of {compared}"


def assert_released_step(
    method: Method, batch: Batch, theirs: dict[str, Tensor], but: str = ""
) -> None:
    """Parameters and running statistics, with the pass for the log after Adam's first step.

    Left out is the buffer `but`.
    """
    method.train().double()
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=7e-5, weight_decay=1e-5)
    method.loss(in_double(batch)).total.backward()
    optimiser.step()
    network = method.network
    assert isinstance(network, nn.Module)
    assert_adam_stepped(network, theirs, learning_rate=7e-5)
    take_unread_biases(network, theirs)
    method.eval()
    for name, buffer in network.named_buffers():
        if name != but:
            close(buffer, theirs[name], name)


def take_unread_biases(module: nn.Module, theirs: dict[str, Tensor]) -> None:
    """Give biases before BatchNorm the reference's noise: running means show it."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.grad is not None and unread_bias(name, parameter.grad):
                parameter.copy_(theirs[name])
