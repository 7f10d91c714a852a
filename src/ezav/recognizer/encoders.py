"""The encoders a run was trained with: found by name and revision, loaded when first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.base import AudioEncoder, Kind, TextEncoder, VisualEncoder
from ezav.encoders.names import readable_names
from ezav.encoders.registry import accepted, load
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError, RefusedError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.header import Header
from ezav.media import Clip, Frames, Waveform, read_clip

_STORED = "give clips as stored features"
_KNOWN = "choose among the classes of the run: it keeps their embeddings"
_NAMES_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """The tokens (values `[T, d]`, times `[T]`) of one clip.

    Attributes:
        missing: modality -> why there are no tokens of it.
        error: why there are none at all.
        duration: seconds.
        warnings: what was wrong with a file that could still be read.
    """

    path: str
    audio: tuple[Tensor, Tensor] | None = None
    visual: tuple[Tensor, Tensor] | None = None
    missing: dict[str, str] = field(default_factory=dict)
    error: str = ""
    duration: float = 0.0
    warnings: tuple[str, ...] = ()


class RunEncoders:
    """Media and names to the features a run was trained on.

    Nothing is loaded before it is needed: stored features need no encoder, and known names no
    text encoder.

    Args:
        header: of the feature store that the run was trained on.
        text: the raw text embeddings of the run's classes; they name the text encoder.
        import_code: whether an encoder named by an import path may be imported: the header is
            data, and could name any function (`docs/trust.md`).
        device: where encoders run that have an option for it.
    """

    def __init__(
        self,
        header: Header,
        text: ClassEmbeddings,
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
        return self._load("visual", _STORED)

    @cached_property
    def audio(self) -> AudioEncoder:
        """The audio encoder; raises as `visual`."""
        return self._load("audio", _STORED)

    @cached_property
    def text(self) -> TextEncoder:
        """The text encoder, with the prompts of the run; raises as `visual`."""
        encoder = self._load("text", _KNOWN)
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
        written = readable_names(names)  # as extraction does
        parts = []
        for start in range(0, len(written), _NAMES_AT_ONCE):
            parts.append(self.text.encode(written[start : start + _NAMES_AT_ONCE]))
            if on_progress is not None:
                on_progress(min(start + _NAMES_AT_ONCE, len(written)), len(written))
        vectors = torch.cat(parts)
        if vectors.shape[1] != self._text_embeddings.dim:
            raise EzavError(
                f"the text encoder gives {vectors.shape[1]} dimensions, the run was trained with "
                f"{self._text_embeddings.dim}",
                "choose among the classes of the run",
            )
        return vectors

    def read(self, path: str | Path) -> Clip:
        """Decode a file once, as both encoders need it."""
        rate = self.audio.card.needs.sample_rate
        return read_clip(path, video=self.visual.card.needs.frame_spec, audio=rate)

    def encode(self, clip: Clip) -> EncodedClip:
        """The tokens of a decoded clip, or the reason why there are none.

        Raises:
            EzavError: the clip was decoded for other needs than these encoders'.
        """
        frames = self._frames(clip)
        sound = self._waveform(clip)
        if clip.status == "failed":
            return EncodedClip(clip.path, error=clip.reason or "cannot be read")
        try:
            audio = _tokens(self.audio, sound)
            visual = _tokens(self.visual, frames)
        except EzavError as error:
            return EncodedClip(clip.path, error=f"cannot be encoded: {error}")
        missing = {}
        if audio is None:
            missing["audio"] = clip.audio_missing or "too short for the audio encoder"
        if visual is None:
            missing["visual"] = clip.video_missing or "too short for the visual encoder"
        return EncodedClip(
            clip.path,
            audio,
            visual,
            missing,
            "; ".join(missing.values()) if len(missing) == 2 else "",
            clip.duration,
            tuple(clip.warnings),
        )

    def _frames(self, clip: Clip) -> Frames | None:
        spec = self.visual.card.needs.frame_spec
        if not clip.video or spec is None:
            return None
        if spec not in clip.video:
            raise EzavError(
                f"'{clip.path}' was decoded for other frames than the visual encoder's",
                f"read it with video={spec!r}, or give the path",
            )
        return clip.video[spec]

    def _waveform(self, clip: Clip) -> Waveform | None:
        rate = self.audio.card.needs.sample_rate
        if not clip.audio or rate is None:
            return None
        if rate not in clip.audio:
            raise EzavError(
                f"'{clip.path}' was decoded at another sample rate than the audio encoder's",
                f"read it with audio={rate}, or give the path",
            )
        return clip.audio[rate]

    def _load(self, kind: Kind, hint: str) -> Any:
        name, revision, _ = self._recorded(kind)
        try:
            spec = self.spec(kind)
            encoder = load(kind, spec.name, spec.options, import_code=self._import_code)
        except EzavError as error:
            refused = isinstance(error, RefusedError)
            raise type(error)(
                f"the run needs the {kind} encoder '{name}': {error.message}",
                error.hint if refused else hint,
            ) from error
        card = encoder.card
        if revision and card.revision != revision:
            raise EzavError(
                f"the run was made with revision '{revision}' of the {kind} encoder '{name}', "
                f"here is '{card.revision}'",
                f"install that revision, extract and run again, or {hint}",
            )
        return encoder

    def spec(self, kind: Kind) -> EncoderSpec:
        """An encoder of the run by name and options, as another process may load it.

        Raises:
            EzavError: the run does not name it, there is none of its name, or it may not be
                imported.
        """
        name, _, written = self._recorded(kind)
        options = dict(EncoderSpec.parse(f"{name},{written}" if written else name).options)
        takes = accepted(kind, name, import_code=self._import_code)
        if "device" in takes:
            options["device"] = self._device
        if kind == "text" and self._prompts and "prompts" in takes:
            options["prompts"] = list(self._prompts)
        return EncoderSpec(name, options)

    @property
    def _prompts(self) -> tuple[str, ...]:
        templates = self._text_embeddings.settings.get("templates")
        return tuple(templates) if isinstance(templates, list | tuple) else ()

    def _recorded(self, kind: Kind) -> tuple[str, str, str]:
        """Name, revision and options of an encoder, as the run tells them."""
        if kind == "text":
            if " + " in self._text_embeddings.encoder:
                raise EzavError(
                    f"the run was trained on joined texts ({self._text_embeddings.encoder}), and "
                    "a new name is encoded by one text encoder only",
                    _KNOWN,
                )
            name, _, revision = self._text_embeddings.encoder.rpartition("@")
            if not name:
                name, revision = revision, ""
            found = [(name, revision, str(self._text_embeddings.settings.get("options", "")))]
        else:
            found = [
                (one.name, one.revision, one.options)
                for one in self.header.encoders
                if one.modality == kind
            ]
        if not found:
            raise EzavError(f"the run does not say which {kind} encoder made its features", _STORED)
        return found[0]


def join(clips: Sequence[EncodedClip], header: Header) -> FeatureSet:
    """Encoded clips as a set; its labels are all 0 and mean nothing."""
    return FeatureSet(
        audio=Ragged.from_clips([clip.audio for clip in clips], header.dim("audio")),
        visual=Ragged.from_clips([clip.visual for clip in clips], header.dim("visual")),
        labels=torch.zeros(len(clips), dtype=torch.long),
        clips=tuple(clip.path for clip in clips),
        classes=("",),
    )


def _tokens(encoder: Any, media: Frames | Waveform | None) -> tuple[Tensor, Tensor] | None:
    """Values `[T, d]` and times `[T]`; None where there is nothing to encode, or no token."""
    if media is None:
        return None
    values, times = encoder.encode([media])[0]
    values = torch.as_tensor(values, dtype=torch.float32)
    if not bool(values.isfinite().all()):
        raise EzavError(f"'{encoder.card.name}' gave features that are not finite")
    return (values, torch.as_tensor(times, dtype=torch.float32)) if len(values) else None
