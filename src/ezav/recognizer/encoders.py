"""The encoders a run was trained with: found by name and revision, loaded when first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from ezav.encoders.base import AudioEncoder, EncoderCard, Kind, TextEncoder, VisualEncoder
from ezav.encoders.descriptions import Descriptions, encode_described
from ezav.encoders.identity import other
from ezav.encoders.legible import unread_of
from ezav.encoders.registry import accepted, load
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError, NotFoundError, RefusedError, UnavailableError
from ezav.extraction.encoded import MediaEncoder
from ezav.features.header import EncoderInfo, Header

if TYPE_CHECKING:  # torch is slow to import, and who only reads files need not wait for it
    from torch import Tensor

    from ezav.classes.embeddings import ClassEmbeddings

_STORED = "give clips as stored features"
_KNOWN = "choose among the classes of the run: it keeps their embeddings"
MEDIA: tuple[Kind, ...] = ("visual", "audio")
JOIN = " + "
DATASET = "nothing"
"""What a header names as its data where nothing was trained."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An encoder as a run tells of it."""

    name: str
    revision: str = ""
    identity: str = ""
    options: str = ""
    prompts: tuple[str, ...] = ()


class RunEncoders:
    """The encoders that turn media and names into the features a run was trained on.

    Nothing is loaded before it is needed: stored features need no encoder, and known names no
    text encoder.

    Args:
        header: of the feature store that the run was trained on.
        text: the raw text embeddings of the run's classes; they name the text encoder. None
            where no name is to be encoded.
        import_code: whether an encoder named by an import path may be imported: the header is
            data, and could name any function (`docs/concepts/trust.md`).
        device: where encoders run that have an option for it.
        kinds: which encoders of media are used; the other modality is not even decoded.

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
        kinds: tuple[Kind, ...] = MEDIA,
    ) -> None:
        self.header = header
        self.kinds = kinds
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
        return {kind: self.visual if kind == "visual" else self.audio for kind in self.kinds}

    @cached_property
    def texts(self) -> tuple[TextEncoder, ...]:
        """The text encoders, with the prompts of the run: one, or those of joined texts.

        Raises:
            EzavError: as `visual`; or the prompts are others than the run's.
        """
        found = []
        for recorded in self.recorded_texts():
            encoder = cast(TextEncoder, self._load("text", recorded))
            if recorded.prompts and encoder.card.templates != recorded.prompts:
                raise EzavError(
                    f"the run was made with the prompts {list(recorded.prompts)}, the text encoder "
                    f"'{encoder.card.name}' now has {list(encoder.card.templates)}",
                    _KNOWN,
                )
            found.append(encoder)
        return tuple(found)

    def encode_names(
        self,
        names: Sequence[str],
        on_progress: Callable[[int, int], None] | None = None,
        descriptions: Descriptions | None = None,
    ) -> Tensor:
        """Raw text embeddings, unit rows `[C, d]`; progress is told as (done, all).

        Args:
            descriptions: what the text encoder reads in place of some names.

        Raises:
            EzavError: a text encoder is not available, or gives another dimension.
        """
        import torch

        from ezav.classes.embeddings import unit_rows

        parts = [encode_described(one, names, descriptions, on_progress) for one in self.texts]
        # Joined texts have unit length together, as the run's class embeddings have.
        vectors = parts[0] if len(parts) == 1 else unit_rows(torch.cat(parts, dim=1), names)
        dim = self._names.dim
        if vectors.shape[1] != dim:
            raise EzavError(
                f"the text encoder gives {vectors.shape[1]} dimensions, the run was trained with "
                f"{dim}",
                "choose among the classes of the run",
            )
        return vectors

    def unread(
        self, names: Sequence[str], descriptions: Descriptions | None = None
    ) -> dict[str, str]:
        """Name -> what of it, or of a description, a text encoder does not read; as `texts`."""
        return unread_of(self.texts, names, descriptions)

    def spec(self, kind: Kind, recorded: Recorded | None = None) -> EncoderSpec:
        """An encoder of the run by name and options, as another process may load it.

        Args:
            recorded: which of several text encoders; by default the first.

        Raises:
            EzavError: the run does not name it, there is none of its name, or it may not be
                imported.
        """
        one = recorded or self._recorded(kind)
        written = f"{one.name},{one.options}" if one.options else one.name
        options = dict(EncoderSpec.parse(written).options)
        try:
            takes = accepted(kind, one.name, import_code=self._import_code)
        except EzavError as error:
            raise self.needs(kind, error, one) from error
        if "device" in takes:
            options["device"] = self._device
        if one.prompts and "prompts" in takes:
            options["prompts"] = list(one.prompts)
        return EncoderSpec(one.name, options)

    def check_same(
        self, kind: Kind, revision: str, identity: str, recorded: Recorded | None = None
    ) -> None:
        """Refuse another encoder than the one that the run was made with.

        A run of before there were identities is compared by the revision alone, and that is said
        (:func:`ezav.encoders.identity.other`).

        Args:
            kind: visual, audio or text.
            revision, identity: of the encoder that is here.
            recorded: which of several text encoders; by default the first.

        Raises:
            UnavailableError: it is another.
        """
        one = recorded or self._recorded(kind)
        name = f"the run's {kind} encoder '{one.name}'"
        if why := other(name, (one.revision, one.identity), (revision, identity)):
            raise UnavailableError(
                f"{name} is not the one here: {why}",
                "install that one, or extract and run again, or "
                f"{_KNOWN if kind == 'text' else _STORED}",
            )

    def needs(self, kind: Kind, error: EzavError, recorded: Recorded | None = None) -> EzavError:
        """The error that an encoder of the run cannot be loaded, from what went wrong."""
        name = (recorded or self._recorded(kind)).name
        hint = _KNOWN if kind == "text" else _STORED
        if isinstance(error, RefusedError):
            hint = error.hint or hint
        return type(error)(f"the run needs the {kind} encoder '{name}': {error.message}", hint)

    def _load(
        self, kind: Kind, recorded: Recorded | None = None
    ) -> VisualEncoder | AudioEncoder | TextEncoder:
        spec = self.spec(kind, recorded)
        try:
            encoder = load(kind, spec.name, spec.options, import_code=self._import_code)
        except EzavError as error:
            raise self.needs(kind, error, recorded) from error
        self.check_same(kind, encoder.card.revision, encoder.card.identity, recorded)
        return encoder

    @property
    def _names(self) -> ClassEmbeddings:
        if self._text_embeddings is None:
            raise EzavError("these encoders were made without class names", "give `text`")
        return self._text_embeddings

    def _recorded(self, kind: Kind) -> Recorded:
        """What the run tells of an encoder."""
        if kind == "text":
            return self.recorded_texts()[0]
        for one in self.header.encoders:
            if one.modality == kind:
                return Recorded(one.name, one.revision, one.identity, one.options)
        raise NotFoundError(f"the run does not say which {kind} encoder made its features", _STORED)

    def recorded_texts(self) -> tuple[Recorded, ...]:
        """The text encoders as the run tells of them: one, or those of joined texts.

        Raises:
            EzavError: it does not say how each of joined texts was made.
        """
        labels = self._names.encoder.split(JOIN)
        settings = self._names.parts
        if len(settings) != len(labels):
            raise EzavError(
                f"the run was trained on joined texts ({self._names.encoder}) and does not say how "
                "each was made",
                f"{_KNOWN}, or run again",
            )
        return tuple(_recorded_text(*one) for one in zip(labels, settings))


def info_of(kind: Kind, spec: EncoderSpec, card: EncoderCard) -> EncoderInfo:
    """What a header keeps of an encoder of media."""
    assert kind != "text"
    return EncoderInfo(
        modality=kind,
        name=spec.name,
        revision=card.revision,
        identity=card.identity,
        dimension=card.dimension,
        options=spec.settings,
    )


def _recorded_text(label: str, settings: dict[str, Any]) -> Recorded:
    name, _, revision = label.rpartition("@")
    if not name:
        name, revision = revision, ""
    templates = settings.get("templates")
    prompts = tuple(templates) if isinstance(templates, list | tuple) else ()
    identity, options = (str(settings.get(key, "")) for key in ("identity", "options"))
    return Recorded(name, revision, identity, options, prompts)
