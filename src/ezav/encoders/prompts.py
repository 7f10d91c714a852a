"""Prompt ensembles: templates are data, and an ensemble is the mean direction of its prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import yaml

from ezav.errors import EzavError, NotFoundError

if TYPE_CHECKING:
    from torch import Tensor


@cache
def template_sets() -> dict[str, tuple[str, ...]]:
    """The named template sets of `prompts.yaml`.

    Example:
        >>> sorted(template_sets())
        ['event', 'name', 'photo', 'sound', 'video']
    """
    text = resources.files("ezav.encoders").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return {name: tuple(lines) for name, lines in yaml.safe_load(text).items()}


def templates(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """A set by name, one template, or several; each must hold `{}` exactly once.

    Raises:
        EzavError: no such set, or a template without `{}`.

    Example:
        >>> templates("photo"), templates(["{}", "a song with {}"])
        (('a photo of {}',), ('{}', 'a song with {}'))
    """
    if isinstance(wanted, str) and "{}" not in wanted:
        if wanted not in template_sets():
            raise NotFoundError(
                f"no set of prompt templates named '{wanted}'",
                f"there are {', '.join(template_sets())}; or write one with {{}} for the name",
            )
        return template_sets()[wanted]
    lines = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    for line in lines:
        if line.count("{}") != 1:
            raise EzavError(f"the prompt template '{line}' must hold {{}} exactly once")
    if not lines:
        raise EzavError("an empty list of prompt templates", "give at least '{}'")
    return lines


def ensemble(
    names: Sequence[str], prompts: Sequence[str], embed: Callable[[list[str]], Tensor]
) -> Tensor:
    """Unit rows `[C, d]`: the mean over templates of unit prompt embeddings, normalised again.

    `embed` maps n sentences to `[n, d]`. This is the prompt ensemble of CLIP (Radford et al.,
    ICML 2021, section 3.1.4).

    Raises:
        EzavError: no names, an empty name, or an embedding that is zero or not finite.

    Example:
        >>> import torch
        >>> def embed(sentences):
        ...     return torch.tensor([[float(len(one)), float(one.count("o"))] for one in sentences])
        >>> one = ensemble(["dog"], ["{}"], embed)
        >>> bool(torch.allclose(one, torch.tensor([[3.0, 1.0]]) / 10**0.5))
        True
        >>> ensemble(["dog", ""], ["{}"], embed)
        Traceback (most recent call last):
        ezav.errors.EzavError: an empty class name; give every class a name
    """
    import torch
    from torch.nn.functional import normalize

    if isinstance(names, str) or not len(names):
        raise EzavError("a text encoder needs a non-empty list of names")
    for name in names:
        if not name.strip():
            raise EzavError("an empty class name", "give every class a name")
    total: Tensor | None = None
    for prompt in prompts:
        vectors = embed([prompt.replace("{}", name) for name in names])
        unit = normalize(vectors.detach().float().cpu(), dim=1)
        total = unit if total is None else total + unit
    if total is None:
        raise EzavError("an empty list of prompt templates", "give at least '{}'")
    bad = ~(torch.isfinite(total).all(dim=1) & (total.norm(dim=1) > 1e-6))
    if bad.any():
        raise EzavError(f"no usable text embedding for '{names[int(bad.nonzero()[0])]}'")
    return normalize(total, dim=1)
