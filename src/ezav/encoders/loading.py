"""Loading pretrained models: offline from a folder, pinned from the hub, every weight accounted.

A checkpoint whose weights do not fit the architecture loads in silence elsewhere: the missing
ones stay random. Here that is an error, and no file that could run code is ever opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.errors import EzavError

if TYPE_CHECKING:
    import torch


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no report of transformers' own: what matters is raised here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_pretrained(
    model_class: str,
    source: str | Path,
    *,
    revision: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    ignore: Sequence[str] = (),
) -> Any:
    """A frozen transformers model in eval mode, with no weight missing or unexpected.

    Args:
        model_class: a class of transformers, by name ("CLIPModel").
        source: a local folder (nothing goes online), or a hub id with `revision`.
        ignore: prefixes of checkpoint weights that this model does not use on purpose (a head,
            or the other tower).

    Raises:
        EzavError: the files are missing, not safetensors, or do not fit the architecture.
    """
    import transformers

    where = _resolve(source, revision)
    with _quiet():
        try:
            model, info = getattr(transformers, model_class).from_pretrained(
                where,
                revision=revision,
                local_files_only=isinstance(where, Path),
                output_loading_info=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=dtype,
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise _unreadable(source, revision, error) from error
    unexpected = [k for k in info["unexpected_keys"] if not k.startswith(tuple(ignore))]
    for word, keys in [
        ("missing", sorted(info["missing_keys"])),
        ("unexpected", sorted(unexpected)),
        ("misshapen", sorted(str(key) for key in info["mismatched_keys"])),
    ]:
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise EzavError(
                f"'{source}' does not fit {model_class}: "
                f"{word} weights {', '.join(keys[:3])}{more}",
                "use the checkpoint of this architecture",
            )
    return model.eval().requires_grad_(False).to(device)


def load_tokenizer(source: str | Path, revision: str | None = None) -> Any:
    """The tokenizer that belongs to a model; see :func:`load_pretrained`."""
    return load_processor("AutoTokenizer", source, revision)


def load_processor(processor_class: str, source: str | Path, revision: str | None = None) -> Any:
    """A tokenizer, image processor or feature extractor of transformers, by class name.

    Raises:
        EzavError: its files are missing or unreadable.
    """
    import transformers

    where = _resolve(source, revision)
    with _quiet():
        try:
            return getattr(transformers, processor_class).from_pretrained(
                where,
                revision=revision,
                local_files_only=isinstance(where, Path),
                trust_remote_code=False,
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise _unreadable(source, revision, error) from error


def _resolve(source: str | Path, revision: str | None) -> str | Path:
    """A folder as a Path, a hub id as a str; a hub id needs a revision that someone chose."""
    folder = Path(source)
    if folder.is_dir():
        return folder
    if isinstance(source, Path) or source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise EzavError(f"no folder '{source}'", "give a model folder or a hub id 'owner/name'")
    if revision is None:
        raise EzavError(
            f"the hub model '{source}' has no pinned revision",
            "give revision= (a commit, or 'main' for whatever is newest), or a local folder",
        )
    return source


def _unreadable(source: str | Path, revision: str | None, error: Exception) -> EzavError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    at = f" at revision '{revision}'" if revision else ""
    return EzavError(
        f"cannot load '{source}'{at}: {first[:200]}",
        "offline, download the folder elsewhere and give its path",
    )
