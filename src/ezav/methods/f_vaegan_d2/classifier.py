"""A softmax classifier on examples of every class, fitted without autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def fit_softmax(
    examples: Tensor, *, epochs: int, rows: int, learning_rate: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """Weights `[C, d]` and biases `[C]` of softmax regression by Adam (betas 0.5, 0.999).

    Starts at zero, and every step takes the same example numbers of every class: so the result
    does not depend on the order of the classes. The gradient of softmax regression is written
    out, because scores are computed where autograd is off.

    Args:
        examples: `[C, n, d]`, n examples of each class.
        epochs: passes over the examples.
        rows: examples a step, over all classes (at least one of each class).
        learning_rate: of Adam.

    Example:
        >>> weight, bias = fit_softmax(torch.eye(3)[:, None], epochs=50, rows=3)
        >>> (torch.eye(3) @ weight.T + bias).argmax(dim=1).tolist()
        [0, 1, 2]
    """
    classes, _, dim = examples.shape
    each = max(1, rows // classes)
    # One matrix with the bias as its last column.
    weight = examples.new_zeros(classes, dim + 1)
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    truth = torch.arange(classes, device=examples.device)
    step = 0
    for _ in range(epochs):
        for part in torch.split(examples, each, dim=1):
            x = torch.cat([part, part.new_ones(*part.shape[:2], 1)], dim=2)  # [C, m, d + 1]
            error = (x @ weight.T).softmax(dim=2)
            error[truth, :, truth] -= 1
            gradient = error.flatten(0, 1).T @ x.flatten(0, 1) / (classes * part.shape[1])
            step += 1
            first = first.lerp(gradient, 1 - 0.5)
            second = second.lerp(gradient.square(), 1 - 0.999)
            root = (second / (1 - 0.999**step)).sqrt() + 1e-8
            weight = weight - learning_rate * first / (1 - 0.5**step) / root
    return weight[:, :-1], weight[:, -1]
