"""The encoders a run was trained with: found by name and revision, loaded when first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, cast

from ezav.encoders.base import AudioEncoder, Kind, TextEncoder, VisualEncoder
from ezav.encoders.legible import unread
from ezav.encoders.names import readable_names
from ezav.encoders.registry import accepted, load
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError, NotFoundError, RefusedError, UnavailableError
from ezav.extraction.encoded import MediaEncoder
from ezav.features.header import Header

if TYPE_CHECKING:  # torch is slow to import, and who only reads files need not wait for it
    from torch import Tensor

    from ezav.classes.embeddings import ClassEmbeddings

_STORED = "give clips as stored features"
_KNOWN = "choose among the classes of the run: it keeps their embeddings"
_NAMES_AT_ONCE = 512


class RunEncoders:
    """The encoders that turn media and names into the features a run was trained on.

    Nothing is loaded before it is needed: stored features need no encoder, and known names no
    text encoder.

    Args:
        header: of the feature store that the run was trained on.
        text: the raw text embeddings of the run's classes; they name the text encoder. None
            where no name is to be encoded.
        import_code: whether an encoder named by an import path may be imported: the header is
            data, and could name any function (`docs/trust.md`).
        device: where encoders run that have an option for it.

    Example:
        >>> from ezav.features.header import EncoderInfo
        >>> made = EncoderInfo(modality="visual", name="statistics", dimension=84)
        >>> RunEncoders(Header(dataset="mine", encoders=(made,)), None).spec("visual").name
        'statistics'
    """

    def __init__(
        self,
        header: Header,
        text: ClassEmbeddings | None,
        import_code: bool = False,
        device: str = "cpu",
    ) -> None:
        self.header = header
        self._text_embeddings = text
        self._import_code = import_code
        self._device = device

    @cached_property
    def visual(self) -> VisualEncoder:
        """The visual encoder.

        Raises:
            EzavError: it is not available here, or another revision of it is.
        """
        return cast(VisualEncoder, self._load("visual"))

    @cached_property
    def audio(self) -> AudioEncoder:
        """The audio encoder; raises as `visual`."""
        return cast(AudioEncoder, self._load("audio"))

    @property
    def by_slot(self) -> dict[str, MediaEncoder]:
        """Those of media, as one road takes them; raises as `visual`."""
        return {"visual": self.visual, "audio": self.audio}

    @cached_property
    def text(self) -> TextEncoder:
        """The text encoder, with the prompts of the run; raises as `visual`."""
        encoder = cast(TextEncoder, self._load("text"))
        if self._prompts and encoder.card.templates != self._prompts:
            raise EzavError(
                f"the run was made with the prompts {list(self._prompts)}, the text encoder "
                f"'{encoder.card.name}' now has {list(encoder.card.templates)}",
                _KNOWN,
            )
        return encoder

    def encode_names(
        self, names: Sequence[str], on_progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Raw text embeddings, unit rows `[C, d]`; progress is told as (done, all).

        Raises:
            EzavError: the text encoder is not available, or gives another dimension.
        """
        import torch

        written = readable_names(names)
        parts = []
        for start in range(0, len(written), _NAMES_AT_ONCE):
            parts.append(self.text.encode(written[start : start + _NAMES_AT_ONCE]))
            if on_progress is not None:
                on_progress(min(start + _NAMES_AT_ONCE, len(written)), len(written))
        vectors = torch.cat(parts)
        dim = self._names.dim
        if vectors.shape[1] != dim:
            raise EzavError(
                f"the text encoder gives {vectors.shape[1]} dimensions, the run was trained with "
                f"{dim}",
                "choose among the classes of the run",
            )
        return vectors

    def unread(self, names: Sequence[str]) -> dict[str, str]:
        """Name -> what of it the text encoder does not read; raises as `text`."""
        return unread(self.text, names)

    def spec(self, kind: Kind) -> EncoderSpec:
        """An encoder of the run by name and options, as another process may load it.

        Raises:
            EzavError: the run does not name it, there is none of its name, or it may not be
                imported.
        """
        name, _, written = self._recorded(kind)
        options = dict(EncoderSpec.parse(f"{name},{written}" if written else name).options)
        try:
            takes = accepted(kind, name, import_code=self._import_code)
        except EzavError as error:
            raise self.needs(kind, error) from error
        if "device" in takes:
            options["device"] = self._device
        if kind == "text" and self._prompts and "prompts" in takes:
            options["prompts"] = list(self._prompts)
        return EncoderSpec(name, options)

    def check_revision(self, kind: Kind, revision: str) -> None:
        """Refuse an encoder of another revision than the one that the run was made with.

        Raises:
            UnavailableError: it is another.
        """
        name, wanted, _ = self._recorded(kind)
        if wanted and revision != wanted:
            raise UnavailableError(
                f"the run was made with revision '{wanted}' of the {kind} encoder '{name}', "
                f"here is '{revision}'",
                "install that revision, extract and run again, or "
                f"{_KNOWN if kind == 'text' else _STORED}",
            )

    def needs(self, kind: Kind, error: EzavError) -> EzavError:
        """The error that an encoder of the run cannot be loaded, from what went wrong."""
        name = self._recorded(kind)[0]
        hint = _KNOWN if kind == "text" else _STORED
        if isinstance(error, RefusedError):
            hint = error.hint or hint
        return type(error)(f"the run needs the {kind} encoder '{name}': {error.message}", hint)

    def _load(self, kind: Kind) -> VisualEncoder | AudioEncoder | TextEncoder:
        spec = self.spec(kind)
        try:
            encoder = load(kind, spec.name, spec.options, import_code=self._import_code)
        except EzavError as error:
            raise self.needs(kind, error) from error
        self.check_revision(kind, encoder.card.revision)
        return encoder

    @property
    def _names(self) -> ClassEmbeddings:
        if self._text_embeddings is None:
            raise EzavError("these encoders were made without class names", "give `text`")
        return self._text_embeddings

    @property
    def _prompts(self) -> tuple[str, ...]:
        templates = self._names.settings.get("templates")
        return tuple(templates) if isinstance(templates, list | tuple) else ()

    def _recorded(self, kind: Kind) -> tuple[str, str, str]:
        """Name, revision and options of an encoder, as the run tells them."""
        return self._recorded_text() if kind == "text" else self._recorded_media(kind)

    def _recorded_media(self, kind: Kind) -> tuple[str, str, str]:
        for one in self.header.encoders:
            if one.modality == kind:
                return one.name, one.revision, one.options
        raise NotFoundError(f"the run does not say which {kind} encoder made its features", _STORED)

    def _recorded_text(self) -> tuple[str, str, str]:
        text = self._names
        if " + " in text.encoder:
            raise EzavError(
                f"the run was trained on joined texts ({text.encoder}), and a new name is encoded "
                "by one text encoder only",
                _KNOWN,
            )
        name, _, revision = text.encoder.rpartition("@")
        if not name:
            name, revision = revision, ""
        return name, revision, str(text.settings.get("options", ""))
