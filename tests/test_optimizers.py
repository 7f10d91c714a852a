"""The optimisers are torch's, step by step, and its compiler stays away."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import Tensor

from ezav.optimizers import Adam, Lbfgs


def _descend(kind: type[torch.optim.Optimizer], resumed: bool = False, **options: object) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(7, generator=generator)
    at = torch.zeros(7, requires_grad=True)
    optimizer = kind([at], **options)  # type: ignore[call-arg]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = ((at - wanted).square() * torch.arange(1, 8)).sum() + (at**4).sum()
        torch.autograd.backward(loss)
        return loss

    for step in range(6):
        if resumed and step == 3:
            state = optimizer.state_dict()
            optimizer = kind([at], **options)  # type: ignore[call-arg]
            optimizer.load_state_dict(state)
        optimizer.step(closure)
    return at.detach()


def test_they_step_as_torch_does() -> None:
    for mine, theirs, options in (
        (Adam, torch.optim.Adam, {"lr": 0.1, "weight_decay": 1e-2, "fused": True}),
        (Lbfgs, torch.optim.LBFGS, {"max_iter": 3, "line_search_fn": "strong_wolfe"}),
    ):
        expected = _descend(theirs, **options)
        assert torch.equal(_descend(mine, **options), expected)
        assert torch.equal(_descend(mine, resumed=True, **options), expected)


def test_the_compiler_is_not_imported() -> None:
    code = (
        "import sys, torch; from ezav.optimizers import Adam, Lbfgs\n"
        "for kind in (Adam, Lbfgs):\n"
        "    at = torch.ones(2, requires_grad=True); one = kind([at])\n"
        "    one.step(lambda: (one.zero_grad(), loss := at.sum(), loss.backward())[1])\n"
        "assert not torch.equal(at.detach(), torch.ones(2))\n"
        "one = Adam([at]); one.load_state_dict(one.state_dict())\n"
        "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
