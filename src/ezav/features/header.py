"""What a feature store says about itself; any other format version is one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

import ezav
from ezav.errors import DamagedError, EzavError

FORMAT_VERSION = 1

_Model = TypeVar("_Model", bound=BaseModel)


MODALITIES: tuple[Literal["audio", "visual"], ...] = ("audio", "visual")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderInfo(_Record):
    """The encoder that made one modality's features.

    Example:
        >>> EncoderInfo(modality="visual", name="clip", dimension=512, options="fps=2").name
        'clip'
    """

    modality: Literal["audio", "visual", "text"]
    name: str
    revision: str = ""
    dimension: int = Field(gt=0)
    identity: str = ""
    """Digest of its weights, tokenizer and preprocessing (:mod:`ezav.encoders.identity`); empty in
    stores of before."""
    options: str = ""
    """What it was loaded with besides its name (`fps=2,source=/models/clip`); of simulated
    features, what they were drawn from (`seed=0,clips=336,…`)."""


class SplitOrigin(_Record):
    """How the splits came about, so that a store can say it.

    Example:
        >>> SplitOrigin(how="drawn", seed=0).seed
        0
    """

    how: Literal["manifest", "drawn", "published"]
    seed: int | None = None
    """Of the draw."""
    detail: str = ""
    """The manifest's name, the published split's name, the unseen classes asked for."""


class Header(_Record):
    """The description of a store, given when it is begun.

    Example:
        >>> encoders = (
        ...     EncoderInfo(modality="audio", name="vggish", dimension=128),
        ...     EncoderInfo(modality="visual", name="c3d", dimension=4096),
        ... )
        >>> Header(dataset="UCF", setting="cls", encoders=encoders).dim("audio")
        128
    """

    format_version: int = FORMAT_VERSION
    dataset: str
    setting: str = ""
    """Which features and splits, as reports call them (main, cls, cls temporal, CLIP/CLAP)."""
    simulated: bool = False
    """The features are random numbers of the right shape, for trying the machinery."""
    text_alignment: Literal["by_name", "published"] = "by_name"
    """`published` reproduces the permuted class embeddings of the released loaders."""
    encoders: tuple[EncoderInfo, ...] = ()
    splits: SplitOrigin | None = None
    created_with: str = f"ezav {ezav.__version__}"

    def dim(self, modality: Literal["audio", "visual"]) -> int:
        """The dimension of a modality's features."""
        for encoder in self.encoders:
            if encoder.modality == modality:
                return encoder.dimension
        raise EzavError(f"the header names no {modality} encoder", "say which one was used")


_File = StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}\.safetensors$")
FileName = Annotated[str, _File]
"""A file beside others: an index of others' names no place but the store's own."""


class ClassFile(_Record):
    """One text encoder's class embeddings inside the store.

    Example:
        >>> ClassFile(encoder="minilm@1", file="minilm-1.safetensors", checksum="00").encoder
        'minilm@1'
    """

    encoder: str
    file: FileName
    checksum: str


class Contents(_Record):
    """What a finished store holds; lives in the index file, so both appear in one step."""

    header: Header
    classes: tuple[str, ...]
    splits: dict[str, int]
    unreadable: int
    whole: bool = True
    """False for a part of a data set, written to be merged."""
    shards: tuple[FileName, ...]
    class_files: tuple[ClassFile, ...]
    fingerprint: str


def parse_header(text: str | bytes, path: Path) -> Header:
    """The header written in `path`; raises EzavError for another format or version.

    Example:
        >>> parse_header(Header(dataset="UCF").model_dump_json(), Path("header.json")).dataset
        'UCF'
        >>> parse_header('{"format_version": 99}', Path("header.json"))
        Traceback (most recent call last):
        ezav.errors.DamagedError: 'header.json' is a feature store of format version 99, ...
    """
    _check_version(text, path)
    return _parse(Header, text, path)


def parse_contents(text: str | bytes, path: Path) -> Contents:
    """The contents written in `path`; raises EzavError for another format or version.

    Example:
        >>> from pathlib import Path
        >>> parse_contents('{"format_version": 99}', Path("index"))
        Traceback (most recent call last):
        ezav.errors.DamagedError: 'index' is a feature store of format version 99, this ...
    """
    _check_version(text, path)
    return _parse(Contents, text, path)


class _Versioned(BaseModel):
    format_version: int | None = None
    header: _Versioned | None = None


def _check_version(text: str | bytes, path: Path) -> None:
    # Read on its own first: another version may have other fields.
    found = _parse(_Versioned, text, path)
    version = found.header.format_version if found.header else found.format_version
    if version != FORMAT_VERSION:
        raise DamagedError(
            f"'{path}' is a feature store of format version {version}, this ezav reads version "
            f"{FORMAT_VERSION}",
            "make the store again with this ezav, or use the ezav that made it",
        )


def _parse(model: type[_Model], text: str | bytes, path: Path) -> _Model:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its text"
        raise DamagedError(
            f"'{path}' is not the header of a feature store: {place}: {first['msg']}",
            "make the store again",
        ) from error
