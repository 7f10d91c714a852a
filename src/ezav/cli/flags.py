"""What a library says of arguments, in the words of the command line.

The library names its arguments in backticks, as Python has them (`` `retry=True` ``); whoever typed
`ezav extract` reads `--retry`. A name that the command lacks stays as it is: nobody is sent to a
flag that is not there.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ezav.errors import EzavError

_NAMED = re.compile(r"`([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)(?:=([^`]*))?`")


def in_flags(text: str, flags: Mapping[str, str]) -> str:
    """A message with the flags of the command instead of arguments.

    Args:
        text: what the library says.
        flags: argument -> flag, as :func:`flags_of` gives them.

    Example:
        >>> flags = {"retry": "--retry", "config.modalities": "--config.modalities", "run": "RUN"}
        >>> in_flags("`retry=True` tries them again", flags)
        '--retry tries them again'
        >>> in_flags('learn from one alone: `config.modalities="audio"`', flags)
        'learn from one alone: --config.modalities audio'
        >>> in_flags("`run` has no `half=True`", flags)
        'RUN has no `half=True`'
    """

    def written(found: re.Match[str]) -> str:
        name, value = found.groups()
        flag = flags.get(name)
        if flag is None:
            return found.group()
        return flag if value is None else _with_value(flag, value)

    return _NAMED.sub(written, text)


def error_in_flags(error: EzavError, flags: Mapping[str, str]) -> EzavError:
    """An error of the same cause, in the words of the command line.

    Example:
        >>> flags = {"import_code": "--import"}
        >>> error_in_flags(EzavError("it is code", "say `import_code=True`"), flags)
        EzavError('it is code; say --import')
    """
    hint = None if error.hint is None else in_flags(error.hint, flags)
    return type(error)(in_flags(error.message, flags), hint)


def flags_of(command: object) -> dict[str, str]:
    """Argument -> flag of a command: fields, fields of its settings, positional ones by metavar.

    Settings that are taken apart on the command line (`arg(name="")`) go by the names of their
    fields alone. A command whose library calls an argument otherwise says so in `arguments`:
    library name -> field.

    Args:
        command: a dataclass as tyro fills it.

    Example:
        >>> from ezav.cli.compare import CompareCommand
        >>> flags = flags_of(CompareCommand(a="one run", b="another"))
        >>> flags["a"], flags["draws"]
        ('RUN', '--draws')
    """
    flags = dict(_flags_of(command, ""))
    other = getattr(command, "arguments", {})
    return flags | {name: flags[field] for name, field in other.items() if field in flags}


def _flags_of(settings: Any, prefix: str) -> Iterator[tuple[str, str]]:
    import tyro

    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        hint = hints[field.name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        name = _given(marks, "name")
        if name is None:
            name = field.name.replace("_", "-")
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            alone = not name or tyro.conf.OmitSubcommandPrefixes in marks
            for argument, flag in _flags_of(value, prefix if alone else f"{prefix}{name}."):
                yield f"{field.name}.{argument}", flag
                if alone:
                    yield argument, flag
        elif tyro.conf.Positional in marks:
            yield field.name, _given(marks, "metavar") or field.name.upper()
        else:
            yield field.name, f"--{prefix}{name}"


def _given(marks: tuple[object, ...], what: str) -> str | None:
    """What `tyro.conf.arg(...)` says of a field, if it says it."""
    found = [getattr(mark, what, None) for mark in marks]
    return next((one for one in found if isinstance(one, str)), None)


def _with_value(flag: str, value: str) -> str:
    """A flag with its value as a shell reads it; a positional argument is its value."""
    named = flag.startswith("--")
    try:
        plain = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # STORE, …: not Python, but a word
        return f"{flag} {value}" if named else value
    if isinstance(plain, bool) and named:
        settings, dot, last = flag.removeprefix("--").rpartition(".")
        return flag if plain else f"--{settings}{dot}no-{last}"
    values = plain if isinstance(plain, list | tuple) else (plain,)
    words = [shlex.quote(str(one)) for one in values]
    return " ".join([flag, *words] if named else words)
