"""Loading pretrained models: offline from a folder, pinned from the hub, every weight accounted.

A checkpoint whose weights do not fit the architecture loads in silence elsewhere: the missing
ones stay random. Here that is an error, and no file that could run code is ever opened: weights
come from safetensors, or from older files read as tensors only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any, TypeVar

from ezav.encoders.base import EncoderCard
from ezav.encoders.identity import sha256_of
from ezav.errors import DamagedError, EzavError, NotFoundError, UnavailableError
from ezav.small_files import parse_json, read_small

_Json = TypeVar("_Json", dict[str, Any], list[dict[str, Any]])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are: a local `folder`, or the hub's `repo` at `revision`."""

    repo: str
    revision: str
    folder: Path | None = None

    @property
    def where(self) -> dict[str, Any]:
        """Arguments of `from_pretrained`; a folder never goes online."""
        if self.folder is not None:
            return {
                "pretrained_model_name_or_path": str(self.folder),
                "local_files_only": True,
            }
        return {"pretrained_model_name_or_path": self.repo, "revision": self.revision}

    def __str__(self) -> str:
        return str(self.folder) if self.folder is not None else f"{self.repo}@{self.revision}"


def find_source(
    card: EncoderCard, source: str | Path | None, revision: str | None
) -> tuple[Source, EncoderCard]:
    """Where to load from, and the card that tells it truly.

    Without `source` it is the card's own, at the card's revision. A folder is described by the
    hash of its weights. What a model of another name was trained on is not known here, so the
    card then says nothing about it.

    Raises:
        EzavError: no such folder, or a hub model other than the card's without a revision.

    Example:
        >>> from ezav.encoders.registry import card
        >>> str(find_source(card("text", "clip"), None, None)[0])
        'openai/clip-vit-base-patch32@3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268'
        >>> find_source(card("text", "clip"), "no/such/folder", None)
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no folder 'no/such/folder'; ...
    """
    if source is None:
        source, revision = card.source, revision or card.revision
        return Source(str(source), str(revision)), card.but(revision=revision)
    folder = Path(source).expanduser()
    if folder.is_dir():
        found = Source(str(source), revision or _weights_hash(folder), folder)
    elif isinstance(source, str) and source.count("/") == 1 and source[0] not in "./~":
        if revision is None:
            raise EzavError(
                f"the hub model '{source}' was given without a revision",
                "give `revision` as well (a commit, or 'main' for whatever is newest)",
            )
        found = Source(source, revision)
    else:
        raise NotFoundError(f"no folder '{source}'", "give a model folder or a hub id 'owner/name'")
    own = card.source.rsplit("/", 1)[-1]
    if own not in str(source).replace("--", "/").split("/"):  # the hub's cache writes a--b
        card = card.but(licence="unknown", trained_on=())
    return found, card.but(source=str(source), revision=found.revision)


UNPINNED = "unpinned"
"""The revision of a card whose weights are a file that the user has to bring."""


def _weights_hash(folder: Path) -> str:
    """`sha256:…` over the weight files of a folder, in the order of their names.

    Raises:
        EzavError: there are no weights.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise NotFoundError(f"no weights in '{folder}'", "it needs a model.safetensors")
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(sha256_of(path)))
    return f"sha256:{digest.hexdigest()[:12]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no report of transformers' own: what matters is raised here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    hide: Callable[[], None] = logging.disable_progress_bar
    show: Callable[[], None] = logging.enable_progress_bar
    logging.set_verbosity(ERROR)
    hide()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            show()


def load_pretrained(
    model_class: str,
    source: Source,
    *,
    device: str = "cpu",
    ignore: Sequence[str] = (),
    unused: Sequence[str] = (),
) -> Any:
    """A frozen transformers model in eval mode, float32.

    No weight is missing, unexpected or of another shape.

    Args:
        model_class: a class of transformers, by name ("CLIPModel").
        ignore: prefixes of checkpoint weights that this model does not use on purpose (a head).
        unused: prefixes of model weights that encoding never touches, which may be missing.

    Raises:
        EzavError: the files are missing or unreadable, or do not fit the architecture.
    """
    import torch
    import transformers

    with _quiet(), _readable(source):
        model, info = getattr(transformers, model_class).from_pretrained(
            **source.where,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told, and refused by name below
            weights_only=True,  # where there is no safetensors file: tensors, never code
            trust_remote_code=False,
            dtype=torch.float32,
        )
    missing = [k for k in info["missing_keys"] if not k.startswith(tuple(unused))]
    unexpected = [k for k in info["unexpected_keys"] if not k.startswith(tuple(ignore))]
    check_weights(source, model_class, missing, unexpected, list(info["mismatched_keys"]))
    return model.eval().requires_grad_(False).to(device)


def check_weights(
    source: object,
    architecture: str,
    missing: Sequence[object],
    unexpected: Sequence[object],
    misshapen: Sequence[object] = (),
) -> None:
    """Refuse a checkpoint that does not fit.

    Raises:
        EzavError: any of the lists is not empty; the message names the first three.

    Example:
        >>> check_weights("folder", "Net", [], [])
    """
    for word, keys in [
        ("missing", missing),
        ("unexpected", unexpected),
        ("misshapen", misshapen),
    ]:
        if keys:
            names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise DamagedError(
                f"'{source}' does not fit {architecture}: "
                f"{word} weights {', '.join(names[:3])}{more}",
                "use a checkpoint of this architecture",
            )


def load_tokenizer(source: Source) -> Any:
    """The tokenizer that belongs to a model.

    Raises:
        EzavError: its files are missing or unreadable.
    """
    return load_processor("AutoTokenizer", source)


def load_processor(processor_class: str, source: Source) -> Any:
    """A tokenizer or feature extractor of transformers, by class name.

    Raises:
        EzavError: its files are missing or unreadable.
    """
    import transformers

    with _quiet(), _readable(source):
        return getattr(transformers, processor_class).from_pretrained(
            **source.where, trust_remote_code=False
        )


def read_json(source: Source, *names: str) -> dict[str, Any]:
    """The first of these JSON files that the model has, a mapping.

    Raises:
        EzavError: it has none of them, or the file is not a JSON mapping.
    """
    for name in names:
        path = _file(source, name)
        if path is not None:
            return _parsed(path, dict)
    raise _absent(source, " or ".join(names))


def read_list(source: Source, name: str) -> list[dict[str, Any]]:
    """A JSON file of the model, a list.

    Raises:
        EzavError: it has no such file, or it is not a JSON list.
    """
    return _parsed(model_file(source, name), list)


def model_file(source: Source, name: str) -> Path:
    """The path of one of a model's files, downloaded where the source is the hub.

    Raises:
        EzavError: the model has no such file.
    """
    path = _file(source, name)
    if path is None:
        raise _absent(source, name)
    return path


def _absent(source: Source, name: str) -> EzavError:
    return NotFoundError(f"'{source}' has no {name}", "copy it beside the weights")


def _parsed(path: Path, kind: type[_Json]) -> _Json:
    try:
        content = parse_json(read_small(path))
    except ValueError as error:
        raise DamagedError(f"cannot read '{path}': {error}") from error
    if not isinstance(content, kind):
        raise DamagedError(f"'{path}' does not hold a JSON {kind.__name__}")
    return content


def _file(source: Source, name: str) -> Path | None:
    if source.folder is not None:
        path = source.folder / name
        return path if path.exists() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        with _readable(source):
            return Path(hf_hub_download(source.repo, name, revision=source.revision))
    except EzavError as error:
        if isinstance(error.__cause__, EntryNotFoundError):
            return None
        raise


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """Turn the many ways in which files can be missing or damaged into one line."""
    hub = getLogger("huggingface_hub")  # it reports each of its attempts to reach the network
    level = hub.level
    hub.setLevel(ERROR)
    try:
        yield
    except ImportError as error:
        text = " ".join(str(error).split())
        raise UnavailableError(
            f"'{source}' needs a package that is missing: {text[:200]}"
        ) from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UnavailableError(
            f"cannot load '{source}': {lines[0][:200]}",
            "offline, download the folder elsewhere and give its path as `source`",
        ) from error
    finally:
        hub.setLevel(level)
