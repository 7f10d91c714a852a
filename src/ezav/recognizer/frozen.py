"""A recogniser that nothing was trained for: encoders that share a space with text, and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders import registry
from ezav.encoders.base import AudioEncoder, EncoderCard, Kind, TextEncoder, VisualEncoder
from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.labelled import knows_labels
from ezav.encoders.spec import EncoderSpec
from ezav.encoders.words import WordReader
from ezav.errors import EzavError
from ezav.features.header import EncoderInfo, Header
from ezav.methods.base import Dims
from ezav.protocol.calibration import Calibration
from ezav.protocol.evaluation import StageModel
from ezav.recognizer.encoders import DATASET, JOIN, MEDIA, info_of
from ezav.recognizer.frozen_method import (
    HEARD_SCALE,
    SHARED_SCALE,
    WORDS_SCALE,
    Channel,
    FrozenMethod,
)
from ezav.recognizer.taught import Taught

Spec = str | EncoderSpec
_OF_WEIGHTS = ("source", "revision")
"""Options of an encoder that its text encoder has, too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frozen:
    """A recogniser without a run: as :class:`ezav.recognizer.trained.Trained`, but no result.

    Attributes:
        model: cosines with the names (:class:`FrozenMethod`); its classes are those given.
        text: the same classes in the text encoders' spaces.
        header: names the encoders.
        calibration: uncalibrated, until it is fitted on clips with labels.
        unused: "visual" or "audio" -> why its encoder says nothing of names.
        taught, base, appearance: as of :class:`~ezav.recognizer.trained.Trained`.
        names: the candidates where none are asked for, with the descriptions behind them.
    """

    model: StageModel
    text: ClassEmbeddings
    header: Header
    calibration: Calibration
    unused: dict[str, str]
    taught: Taught = field(default_factory=Taught)
    base: tuple[StageModel, ClassEmbeddings] | None = None
    appearance: None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names given and those taught; may be none."""
        return tuple(self.listed)

    @property
    def listed(self) -> dict[str, tuple[str, ...]]:
        """The names to choose from where none are asked for, with the descriptions behind them."""
        taught = self.taught
        own = {
            taught.renamed.get(name, name): tuple(lines)
            for name, lines in self.names.items()
            if name not in taught.forgotten
        }
        return dict.fromkeys(self.model.classes.names, ()) | own

    @property
    def seen(self) -> tuple[str, ...]:
        """None: nothing was trained."""
        return ()

    @property
    def method(self) -> FrozenMethod:
        """The model's method, without what was taught."""
        model = self.model if self.base is None else self.base[0]
        return cast(FrozenMethod, model.method)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The modalities that are read."""
        return tuple(channel.kind for channel in self.method.channels)


def frozen(
    visual: Spec | None = None,
    audio: Spec | None = None,
    text: Spec | Sequence[Spec] | None = None,
    device: str = "cpu",
    kinds: tuple[Kind, ...] = MEDIA,
) -> Frozen:
    """Put encoders together that share a space.

    Args:
        visual, audio: encoders by name, with options, or import path.
        text: one text encoder or several; by default those whose space the others share, else
            the default one, which reads the label names of a classifier.
        device: where encoders run that have an option for it.
        kinds: the modalities that may be read.

    Raises:
        EzavError: an encoder is not available, or none of them shares a space with the text.
    """
    given: dict[Kind, EncoderSpec] = {
        "visual": EncoderSpec.parse(visual or DEFAULTS["visual"]).resolved(),
        "audio": EncoderSpec.parse(audio or DEFAULTS["audio"]).resolved(),
    }
    named = {kind for kind, one in (("visual", visual), ("audio", audio)) if one is not None}
    if kinds == ("audio",):
        named.add("audio")
    used = {kind: one for kind, one in given.items() if kind == "visual" or kind in named}
    specs = _texts(used, text)
    texts = [registry.load_text(one.name, **_placed("text", one, device)) for one in specs]
    channels: list[Channel] = []
    made: list[EncoderInfo] = []
    unused: dict[str, str] = {}
    for kind in MEDIA:
        if kind not in kinds:
            continue
        card, channel, why = _channel(kind, given[kind], texts, device, must=kind in named)
        if card is not None:
            made.append(info_of(kind, given[kind], card))
        if channel is None:
            unused[kind] = why
        else:
            channels.append(channel)
    if not channels:
        whole = "; ".join(unused.values())
        raise EzavError(f"no encoder shares a space with the text: {whole}", _HINT)
    kept = tuple(one for one in made if one.modality not in unused)
    empty = _no_names(specs, texts)
    dims = {one.modality: one.dimension for one in kept}
    method = FrozenMethod(
        tuple(channels),
        Dims(audio=dims.get("audio", 1), visual=dims.get("visual", 1), text=empty.dim),
    )
    return Frozen(
        model=StageModel(method, empty, torch.zeros(0, dtype=torch.bool)),
        text=empty,
        header=Header(dataset=DATASET, encoders=kept),
        calibration=Calibration.none(),
        unused=unused,
    )


_HINT = "name encoders that know labels or share a space with text: efficientnet, clip, clap, …"


def _texts(given: dict[Kind, EncoderSpec], text: Spec | Sequence[Spec] | None) -> list[EncoderSpec]:
    """The text encoders: those named, else those whose spaces the media encoders share."""
    if text is not None:
        several = [text] if isinstance(text, str | EncoderSpec) else list(text)
        split = [part for one in several for part in _parts(one)]
        return [EncoderSpec.parse(one).resolved() for one in split]
    found: dict[str, EncoderSpec] = {}
    for kind, spec in given.items():
        if ":" in spec.name:
            continue  # one's own: its text encoder has to be named
        card = registry.card(kind, spec.name)
        options = {key: spec.options[key] for key in _OF_WEIGHTS if key in spec.options}
        if card.space is not None:
            name = next(n for n in registry.names("text") if _space("text", n) == card.space)
            found.setdefault(card.space, EncoderSpec(name, options))
        elif card.label_set is not None:
            found.setdefault("", EncoderSpec(DEFAULTS["text"]))
    return list(found.values()) or [EncoderSpec(DEFAULTS["text"])]


def _parts(text: Spec) -> list[Spec]:
    return list(text.split(JOIN)) if isinstance(text, str) else [text]


def _space(kind: Kind, name: str) -> str | None:
    return registry.card(kind, name).space


def _channel(
    kind: Kind, spec: EncoderSpec, texts: list[TextEncoder], device: str, must: bool
) -> tuple[EncoderCard | None, Channel | None, str]:
    """The encoder's card, how it meets the names, or why it does not."""
    if not must and ":" not in spec.name:
        known = registry.card(kind, spec.name)
        if known.space is None and known.label_set is None:
            return None, None, _says_nothing(kind, spec.name, texts)
        if known.space is None and known.broad_labels:
            # They are worth little where there are pictures, and take as long.
            return None, None, f"sound is not used; --audio {spec.name} uses it"
    encoder: VisualEncoder | AudioEncoder = (
        registry.load_visual(spec.name, **_placed("visual", spec, device))
        if kind == "visual"
        else registry.load_audio(spec.name, **_placed("audio", spec, device))
    )
    start = 0
    for text in texts:
        columns = slice(start, start + text.card.dimension)
        start = columns.stop
        mine, its = encoder.card, text.card
        if mine.space and (mine.space, mine.dimension) == (its.space, its.dimension):
            return mine, Channel(kind, columns, SHARED_SCALE[kind]), ""
    if knows_labels(encoder):
        columns, words = slice(0, texts[0].card.dimension), WordReader(encoder, texts[0])
        scale = HEARD_SCALE if encoder.card.broad_labels else WORDS_SCALE
        return encoder.card, Channel(kind, columns, scale, words), ""
    return encoder.card, None, _says_nothing(kind, spec.name, texts)


def _says_nothing(kind: Kind, name: str, texts: list[TextEncoder]) -> str:
    read = " and ".join(f"'{text.card.name}'" for text in texts)
    what = "sound" if kind == "audio" else "picture"
    return f"{what} is not used: '{name}' shares no space with {read} and names no labels"


def _placed(kind: Kind, spec: EncoderSpec, device: str) -> dict[str, object]:
    options = dict(spec.options)
    if device != "cpu" and "device" in registry.accepted(kind, spec.name, import_code=True):
        options["device"] = device
    return options


def _no_names(specs: list[EncoderSpec], texts: list[TextEncoder]) -> ClassEmbeddings:
    """No classes, in the text encoders' spaces side by side: they say how names are read."""
    settings: list[dict[str, object]] = []
    for spec, text in zip(specs, texts):
        one: dict[str, object] = {}
        if text.card.identity:
            one["identity"] = text.card.identity
        if text.card.templates:
            one["templates"] = list(text.card.templates)
        if options := spec.without("prompts").settings:
            one["options"] = options
        settings.append(one)
    label = JOIN.join(f"{spec.name}@{text.card.revision}" for spec, text in zip(specs, texts))
    dim = sum(text.card.dimension for text in texts)
    return ClassEmbeddings.none(
        dim, label, settings[0] if len(settings) == 1 else {"joined": settings}
    )
