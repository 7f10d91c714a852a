"""Methods by name, and what one of your own is made of.

Example:
    >>> from ezav.methods import Method, get
    >>> issubclass(get("ez_avgzl"), Method)
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.methods.base import Batch, Dims, Loss, Method
    from ezav.methods.common.batch_norm import BatchNorm
    from ezav.methods.common.card import Card
    from ezav.methods.registry import get, names
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Batch": "ezav.methods.base",
            "BatchNorm": "ezav.methods.common.batch_norm",
            "Card": "ezav.methods.common.card",
            "Dims": "ezav.methods.base",
            "Loss": "ezav.methods.base",
            "Method": "ezav.methods.base",
            "get": "ezav.methods.registry",
            "names": "ezav.methods.registry",
        },
    )

__all__ = [
    "Batch",
    "BatchNorm",
    "Card",
    "Dims",
    "Loss",
    "Method",
    "get",
    "names",
]
