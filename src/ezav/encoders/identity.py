"""Which encoder is it, exactly: a digest of its weights, its tokenizer and its preprocessing.

A name and a revision can be kept while files are changed. The identity of an encoder is the
SHA-256 of the digests of all files that it was made from, and of the numbers of its preprocessing
that are written in this package. Stores, runs and class embeddings keep it, and a run that meets
an encoder compares it.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from ezav.errors import EzavError, NotFoundError
from ezav.manifest import digest
from ezav.safe_io import cache_folder, write_text
from ezav.small_files import parse_json, read_small

if TYPE_CHECKING:
    from ezav.encoders.base import EncoderCard, Kind
    from ezav.encoders.loading import Source

_LARGE = 1 << 23
"""Bytes from which on the digest of a file is kept in the cache folder."""
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Where transformers looks for weights, the first that is there; an index names parts."""
_ALWAYS = ("config.json", "adapter_config.json", "adapter_model.safetensors")
_MEDIA = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
_TEXT = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "modules.json",
    "sentence_bert_config.json",
)
_MODULE = ("config.json", "model.safetensors")
"""Of each folder that `modules.json` names."""


@runtime_checkable
class Made(Protocol):
    """An encoder that can say what it was made from."""

    card: EncoderCard

    def made_of(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """File -> SHA-256, and the settings of its preprocessing, JSON-ready."""
        ...


_Encoder = TypeVar("_Encoder")


def identity(files: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """`sha256:` and 64 digits of what an encoder was made from.

    Args:
        files: name -> SHA-256.
        settings: of its preprocessing, JSON-ready.

    Example:
        >>> identity({"weights": "00"}, {"size": [2, 3]})[:16]
        'sha256:b48138db7'
        >>> identity({"weights": "00"}, {}) == identity({"weights": "01"}, {})
        False
    """
    made = {"files": dict(files), "settings": dict(settings)}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def identified(encoder: _Encoder) -> _Encoder:
    """An encoder of this package, whose card says its identity.

    Example:
        >>> from ezav.encoders import load_text
        >>> len(identified(load_text("minilm")).card.identity)
        71
    """
    if isinstance(encoder, Made) and not encoder.card.identity:
        encoder.card = encoder.card.but(identity=identity(*encoder.made_of()))
    return encoder


def other(name: str, recorded: tuple[str, str], here: tuple[str, str]) -> str:
    """How the encoder that is here differs from the recorded one; empty where it does not.

    What was written before there were identities is compared by its revision alone, and that is
    said (a warning).

    Args:
        name: of the encoder with its kind, as messages call it.
        recorded, here: revision and identity.

    Example:
        >>> other("the visual encoder 'x'", ("1", "sha256:00"), ("1", "sha256:01"))
        'weights, tokenizer or preprocessing are others'
        >>> other("the visual encoder 'x'", ("1", "sha256:00"), ("1", "sha256:00"))
        ''
    """
    if recorded[0] != here[0]:
        told = f"revision '{recorded[0]}'" if recorded[0] else "an unknown revision"
        return f"it was {told}, here is '{here[0]}'"
    if recorded[1] and recorded[1] != here[1]:
        return "weights, tokenizer or preprocessing are others"
    if here[1] and not recorded[1]:
        warnings.warn(
            f"nothing says the full digest of {name}: it is compared by its revision alone",
            stacklevel=3,
        )
    return ""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; of a large one that did not change it is computed once.

    What says that it did not change: its place, size, and the times of its change that the system
    keeps (also the one that cannot be set).

    Raises:
        EzavError: it cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise NotFoundError(f"cannot read '{path}': {error.strerror}") from error
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _sha256(path.resolve(), status.st_dev, status.st_ino, status.st_size, *times)


@cache
def _sha256(path: Path, device: int, inode: int, size: int, modified: int, changed: int) -> str:
    if size < _LARGE:
        return digest(path)
    told = repr((os.fspath(path), device, inode, size, modified, changed))
    kept = cache_folder() / "digests" / hashlib.sha256(told.encode()).hexdigest()[:40]
    with suppress(OSError, EzavError, ValueError):
        found = kept.read_text(encoding="ascii").strip()
        if len(bytes.fromhex(found)) == hashlib.sha256().digest_size:
            return found
    found = digest(path)
    with suppress(EzavError):  # a cache that cannot be written costs time, nothing else
        write_text(kept, found + "\n")
    return found


def files_of(
    source: Source, kind: Kind, known: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """File -> SHA-256 of the files of a model in a folder, or in the hub's cache.

    Args:
        source: where it was loaded from.
        kind: of text the tokenizer's files count, of media the preprocessing's.
        known: digests of files that were compared already.
    """
    names = [*_weights(source), *_ALWAYS, *(_TEXT if kind == "text" else _MEDIA)]
    modules = _place(source, "modules.json") if kind == "text" else None
    if modules is not None:
        folders = [str(one.get("path", "")) for one in parse_json(read_small(modules))]
        names += [f"{folder}/{name}" for folder in folders if folder for name in _MODULE]
    found = {name: _place(source, name) for name in dict.fromkeys(names)}
    return {
        name: known.get(name) or sha256_of(path) for name, path in found.items() if path is not None
    }


def _weights(source: Source) -> Iterator[str]:
    for name in _WEIGHTS:
        if (path := _place(source, name)) is None:
            continue
        yield name
        if name.endswith(".index.json"):
            yield from sorted(set(parse_json(read_small(path))["weight_map"].values()))
        return


def _place(source: Source, name: str) -> Path | None:
    if source.folder is not None:
        path = source.folder / name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    path_or_none = try_to_load_from_cache(source.repo, name, revision=source.revision)
    return Path(path_or_none) if isinstance(path_or_none, str) else None
