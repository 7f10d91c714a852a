"""Words of the command line -> a command, or one line that says what is wrong with them."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from typing import TypeVar

from ezav.cli.common import Command
from ezav.cli.failure import UsageError

_MODULES = {"import": "import_"}
Parsed = TypeVar("Parsed", bound=Command)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PYTHON_INT = re.compile(r"invalid literal for int\(\) with base 10: ('.*')")
_PYTHON_FLOAT = re.compile(r"could not convert string to float: ('.*')")


def read_arguments(name: str, arguments: list[str]) -> Command | None:
    """The command that the arguments ask for; None where they asked for help, which is printed.

    Args:
        name: of the command, as `ezav` lists it.
        arguments: what follows the name.

    Raises:
        UsageError: an option or a value that the command does not take, or one that it lacks.
        EzavError: what the arguments name has other options than these, or cannot be read.
    """
    import tyro

    module = importlib.import_module(f"ezav.cli.{_MODULES.get(name, name)}")
    # A command whose options depend on its arguments (the method's own) builds itself.
    cli = module.cli_for(arguments) if hasattr(module, "cli_for") else module.CLI
    program = f"ezav {name}"
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            command: Command = tyro.cli(
                cli, args=arguments, prog=program, description=module.__doc__
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        message = one_line(told.getvalue())
        raise UsageError(message, f"{program} --help explains the command") from None
    sys.stderr.write(told.getvalue())  # warnings
    return command


def understood(
    command: type[Parsed], arguments: list[str], default: Parsed | None = None
) -> Parsed | None:
    """What arguments say as far as a command knows its options; None where they are wrong.

    For a command whose options depend on what is named. Nothing is printed and no help is shown:
    that is left to :func:`read_arguments`.

    Args:
        command: a dataclass. A positional argument of many words ends at the first unknown option.
        arguments: what follows the command's name.
        default: values for all that may be missing.
    """
    import tyro

    unheard = io.StringIO()
    try:
        with contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard):
            found, _ = tyro.cli(
                command,
                args=arguments,
                default=tyro.MISSING_NONPROP if default is None else default,
                return_unknown_args=True,
                add_help=False,
            )
    except SystemExit:
        return None
    return found if isinstance(found, command) else None


def one_line(box: str) -> str:
    """The box that tyro draws around a mistake, as one line without help texts.

    Args:
        box: sections between rules, in a frame (without one where the terminal is not UTF-8);
            options are indented by four, their help by eight; the last points to the help.

    Example:
        >>> one_line('''
        ... ╭─ Unrecognized options ───────────────╮
        ... │ Unrecognized options: --sedes, 3     │
        ... │ ──────────────────────────────────── │
        ... │ Perhaps you meant:                   │
        ... │     --seeds INT                      │
        ... │         How many seeds to run.       │
        ... │ ──────────────────────────────────── │
        ... │ For full helptext, run ezav run -h   │
        ... ╰──────────────────────────────────────╯''')
        'unrecognized options: --sedes, 3; perhaps you meant: --seeds INT'
    """
    sections: list[list[str]] = [[]]
    for line in _COLOUR.sub("", box).splitlines():
        if not line.startswith(("│ ", "  ")):  # the frame and its title
            continue
        inside = line[2:].removesuffix("│").rstrip()
        if inside.strip("─-") == "":
            sections.append([])
        else:
            sections[-1].append(inside)
    told = [_section(lines) for lines in sections]
    kept = [text for text in told if text and not text.startswith(("For full", "Argument help"))]
    found = "; ".join(text[0].lower() + text[1:].rstrip(".") for text in kept)
    found = _PYTHON_INT.sub(r"\1 is no whole number", found)
    return _PYTHON_FLOAT.sub(r"\1 is no number", found) or "the arguments cannot be read"


def _section(lines: list[str]) -> str:
    depth = [len(line) - len(line.lstrip()) for line in lines]
    words = " ".join(line for line, indent in zip(lines, depth, strict=True) if indent < 4)
    options = ", ".join(line.strip() for line, i in zip(lines, depth, strict=True) if 4 <= i < 8)
    return f"{words} {options}".strip()
