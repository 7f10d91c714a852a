"""Batch norms folded into the convolutions before them. Imports torch."""

from __future__ import annotations

import torch
from torch import nn


def fold(module: nn.Module, convolution: str, norm: str) -> None:
    """Put a frozen batch norm into the convolution before it: one operation instead of two.

    Args:
        module: has both as attributes; its convolution gets a bias, its norm becomes the identity.
        convolution, norm: their names.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)).eval()
        >>> net[1].running_mean.fill_(0.5)
        tensor([0.5000, 0.5000])
        >>> x = torch.ones(1, 1, 3, 3)
        >>> before = net(x)
        >>> fold(net, "0", "1")
        >>> net[1], torch.allclose(net(x), before, atol=1e-6)
        (Identity(), True)
    """
    conv, bn = module.get_submodule(convolution), module.get_submodule(norm)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    with torch.no_grad():
        # In double precision: folding is then exact up to the rounding of one product.
        scale = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
        shift = bn.bias.double() - bn.running_mean.double() * scale
        if conv.bias is not None:
            shift = shift + conv.bias.double() * scale
        weight = conv.weight.double() * scale[:, None, None, None]
        conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
        conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
    setattr(module, norm, nn.Identity())
