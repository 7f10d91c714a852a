"""torch's optimisers without its compiler, whose import takes a second and which nothing here uses.

torch wraps methods of its optimisers so that compiled programs leave them alone; what is wrapped
imports the compiler when it is first called. Imports torch.
"""

from __future__ import annotations

from inspect import unwrap

import torch


class Lbfgs(torch.optim.LBFGS):
    """L-BFGS as torch has it.

    Example:
        >>> at = torch.zeros(2, requires_grad=True)
        >>> optimizer = Lbfgs([at], max_iter=20, line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (at - torch.tensor([1.0, 2.0])).square().sum()
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> [round(one, 3) for one in at.tolist()]
        [1.0, 2.0]
    """

    add_param_group = unwrap(torch.optim.LBFGS.add_param_group)
    zero_grad = unwrap(torch.optim.LBFGS.zero_grad)


class Adam(torch.optim.Adam):
    """Adam as torch has it, but for its option `differentiable`."""

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
