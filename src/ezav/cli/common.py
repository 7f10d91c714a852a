"""What commands share: `--json`, the consoles, the shape of a command, candidates, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TextIO

import tyro
from rich.console import Console
from rich.text import Text

from ezav.errors import EzavError, NotFoundError, RefusedError
from ezav.naming import clean, shown
from ezav.small_files import read_small_text

if TYPE_CHECKING:
    from rich.status import Status

    from ezav.extraction.reading import Limits
    from ezav.features.header import EncoderInfo
    from ezav.features.store import FeatureStore
    from ezav.recognizer import Recognizer
    from ezav.recognizer.lists import OnNames
    from ezav.recognizer.names import Names

# Paths and class names are printed as they are: `[b]` and `:dog:` mean nothing, styles are `Text`.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
_LINE = 10_000
"""Width where nobody looks, in characters: in a pipe or a file a row of a table is one line."""
_NAMES_READ = 4
"""Class names of which it is said what a text encoder reads."""


def _console(stream: TextIO, **settings: Any) -> Console:
    return Console(width=None if stream.isatty() else _LINE, **_PLAIN, **settings)


progress = _console(sys.stderr, stderr=True)
"""Progress, warnings and errors: stderr, so that stdout stays clean for results."""
output = _console(sys.stdout, soft_wrap=True)
"""Results for people; with `--json` nothing is printed here but one JSON document."""


@dataclass(kw_only=True)
class Command:
    """A command: its fields are its options, `run` does the work, `show` prints it for people.

    A result is a frozen dataclass or a pydantic model, of the command's file or of the library; its
    attribute `status`, if it has one, is the exit status. `ezav.cli.main` makes the JSON of it, and
    writes as flags what the library says of its arguments.
    """

    arguments: ClassVar[dict[str, str]] = {}
    """Arguments of the library that are called otherwise here: library name -> field."""

    json: bool = False
    """Print the result as one JSON document on stdout."""

    def run(self) -> object:
        """Do the work and return the result."""
        raise RuntimeError(f"{type(self).__name__} does not define run()")

    def show(self, result: Any) -> None:
        """Print the result for a person."""
        raise RuntimeError(f"{type(self).__name__} does not define show()")


Importing = Annotated[
    bool,
    tyro.conf.arg(
        name="import",
        help="Import your own code (`package.module:Name`) that the run or the recipe file "
        "names. Importing runs it: say so only where you trust it.",
    ),
]
"""The option `--import` of a command that reads what may name code; `docs/concepts/trust.md`."""


Signed = Annotated[
    Path | None,
    tyro.conf.arg(
        name="require-signature",
        metavar="PUBLIC",
        help="Refuse what was not signed with this key, a PEM file ('ezav sign' makes keys and "
        "signatures).",
    ),
]
"""The option `--require-signature` of a command that opens what others may have made."""


def at_least_one(**counts: int | None) -> None:
    """Refuse options that count something and are below 1; None stands for a default.

    Raises:
        EzavError: the first such option, by the name that the user gave it.

    Example:
        >>> at_least_one(seeds=5, processes=None)
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise EzavError(f"--{name.replace('_', '-')} must be at least 1, not {count}")


def load_recognizer(
    run: str | Path,
    device: str = "cpu",
    import_code: bool = False,
    limits: Limits | None = None,
    files: bool = False,
    require_signature: Path | None = None,
) -> Recognizer:
    """The recogniser of a run, on a device by name (`auto`: a GPU where there is one).

    With `files` its worker process starts at once, and loads the encoders while the rest is loaded.
    With `require_signature` nothing of it is read before its signature.
    """
    if require_signature is not None:
        from ezav import signing
        from ezav.recognizer.find import find

        run = find(run)
        signing.require_signature(run, require_signature)
    reader = None
    if files and device == "cpu":  # where there is a GPU, encoders stay in this process
        from ezav.recognizer.reading import begin_reading

        with suppress(RefusedError):  # told again by whoever needs it; the method comes first
            reader = begin_reading(run, import_code, limits)
    from ezav.recognizer import Recognizer

    return Recognizer.load(run, device, import_code, limits, reader)


@dataclass(kw_only=True)
class FrozenOptions:
    """The options of a command that also takes a recogniser that nothing was trained for."""

    frozen: bool = False
    """Use no run and train nothing: names are compared with what frozen encoders say of the
    clip."""
    visual: str | None = None
    """Use this visual encoder with --frozen: NAME,option=value; by default efficientnet."""
    audio: str | None = None
    """Use this audio encoder with --frozen; by default aisfx."""
    text: str | None = None
    """Use this text encoder with --frozen, or "A + B"; by default the one that fits the others."""
    calibrate: Path | None = None
    """Learn probabilities and "none of these" with --frozen from these labelled clips (class
    folders, or a CSV path,class)."""


def frozen_recognizer(
    options: FrozenOptions,
    device: str = "cpu",
    limits: Limits | None = None,
    names: Names | None = None,
    must: bool = True,
) -> Recognizer:
    """The recogniser of `--frozen`; says once what it does not read, and learns of `--calibrate`.

    Args:
        names: the candidates; which of them the encoders have seen under their labels is said.
        must: refuse to go on without names.

    Raises:
        EzavError: no names; an encoder is not available or shares no space; the labelled clips
            cannot be read.
    """
    if names is None and must:
        raise EzavError("--frozen knows no classes of its own", "name them with --classes")
    from ezav.recognizer.reading import begin_frozen_reading

    reader = None
    if must and device == "cpu" and options.visual is options.audio is None:
        reader = begin_frozen_reading(limits)
    from ezav.recognizer import Recognizer

    given = (options.visual, options.audio, options.text)
    made = Recognizer.frozen(*given, device=device, limits=limits, reader=reader)
    for why in made.unused.values():
        progress.print(why, style="dim")
    if names:
        from ezav.recognizer.names import asked

        tell_seen(made.header.encoders, asked(names)[0], "names")
    if options.calibrate is not None:
        with progress.status(f"calibrating on {options.calibrate}"):
            made.calibrate(options.calibrate)
    return made


def tell_seen(encoders: Sequence[EncoderInfo], names: Sequence[str], what: str) -> str:
    """Say which names the encoders have seen under the labels of their own training.

    Returns:
        The line; empty where there is nothing to say.
    """
    from ezav.encoders.seen import seen_by, told

    line = told(seen_by([(one.modality, one.name) for one in encoders], names), len(names), what)
    if line:
        progress.print(line, style="dim")
    return line


def tell_seen_unseen(store: FeatureStore) -> None:
    """Say which unseen classes of a store its encoders have seen under their labels."""
    if not store.header.simulated:
        unseen = store.split_classes("test_unseen") if store.splits.get("test_unseen") else ()
        tell_seen(store.header.encoders, unseen, "unseen classes")


def described_by(
    store: FeatureStore, file: Path, text_encoder: str | None, device: str, import_code: bool
) -> FeatureStore:
    """A store whose class names are read by the descriptions of a file; on disk it stays.

    Raises:
        EzavError: the file is none, it does not fit the classes, or there is no such text encoder.
    """
    from ezav.encoders.descriptions import read_descriptions
    from ezav.recognizer.described import described

    return described(
        store,
        read_descriptions(file),
        text_encoder,
        source=f"'{file}'",
        device=device,
        import_code=import_code,
    )


def check_frozen(options: FrozenOptions) -> None:
    """Refuse options of `--frozen` without it, and a signature where there is no run.

    Raises:
        EzavError: one is given.
    """
    if options.frozen and getattr(options, "require_signature", None) is not None:
        raise EzavError("--frozen takes no run that could be signed", "leave one of the two out")
    for name in ("visual", "audio", "text", "calibrate"):
        if not options.frozen and getattr(options, name) is not None:
            raise EzavError(f"--{name} is an option of --frozen: a run has its own", "leave it out")


def read_classes(
    names: tuple[str, ...] | None, file: Path | None, descriptions: Path | None = None
) -> Names | None:
    """The candidates from the command line or files; None for all classes of the run.

    Args:
        names: as typed, each perhaps `name: description`.
        file: with one of those a line.
        descriptions: a file of descriptions; without names its names are the candidates.

    Raises:
        NotFoundError: there is no such file.
        EzavError: both names and a file are given; the file holds no name or no text; a name has
            no description in the file of them.
    """
    if names is not None and file is not None:
        raise EzavError("both --classes and --class-file are given", "give one of them")
    given = (None if names is None else list(names)) if file is None else read_names(file)
    if descriptions is None:
        return given
    from ezav.encoders.descriptions import read_descriptions
    from ezav.recognizer.names import asked

    known = read_descriptions(descriptions)
    if given is None:
        return known
    listed, behind = asked(given)
    if lacking := [name for name in listed if name not in known and name not in behind]:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise EzavError(
            f"'{descriptions}' has no description of '{lacking[0]}'{more}",
            "add it, or type 'name: description'",
        )
    if unused := [name for name in known if name not in listed]:
        more = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
        progress.print(f"not asked for, but described: '{unused[0]}'{more}", style="dim")
    return {name: behind.get(name) or known[name] for name in listed}


def read_names(file: Path) -> list[str]:
    """The class names of a text file, one a line; empty lines and a byte order mark are skipped.

    Raises:
        NotFoundError: there is no such file.
        EzavError: it is not UTF-8 text, cannot be read, or holds no name.
    """
    try:
        lines = read_small_text(file).splitlines()
    except NotFoundError as error:
        raise NotFoundError(f"'{file}' does not exist", "give a file of class names") from error
    found = [name for line in lines if (name := clean(line))]
    if not found:
        raise EzavError(f"'{file}' holds no class names", "write one a line")
    return found


def tell_remarks(remarks: Iterable[str]) -> None:
    """Say on stderr which class names a text encoder cannot read, or not tell apart."""
    for remark in remarks:
        progress.print(Text("class names:", "yellow"), remark, soft_wrap=True)


def tell_read(read: Mapping[str, str]) -> None:
    """Say on stderr, in one line, which class names a text encoder reads otherwise."""
    if read:
        some = [f"{shown(name)} → {shown(words)}" for name, words in read.items()]
        more = f", and {len(some) - _NAMES_READ} more" if len(some) > _NAMES_READ else ""
        line = f"read as words: {', '.join(some[:_NAMES_READ])}{more}"
        progress.print(line, style="dim", soft_wrap=True)


def names_progress(status: Status) -> OnNames:
    """Tells in a status line how far new class names are."""

    def tell(step: str, done: int, total: int) -> None:
        status.update(f"class names {step}: {done:,} of {total:,}")

    return tell


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, fed with (done, in all); it vanishes when finished."""
    from rich.progress import Progress

    live = progress.is_terminal  # else even a bar that vanishes leaves an empty line
    with Progress(console=progress, transient=True, disable=not live) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
