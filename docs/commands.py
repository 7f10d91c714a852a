"""The reference of the command line, from the parsers of the commands themselves."""

from __future__ import annotations

import argparse
import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import tyro

from ezav.cli.main import COMMANDS
from ezav.cli.run import cli_for
from ezav.methods import registry

MODULES = {"import": "import_"}
SHARED = {"--help", "--json"}
"""Options of every command, said once at the head of the page."""


@dataclass(frozen=True)
class Option:
    """An option or argument as the reference shows it."""

    names: tuple[str, ...]
    value: str
    help: str
    default: str
    group: str


def parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """(words of the command, what it does, parser) of every command and sub-command."""
    for name in COMMANDS:
        module = importlib.import_module(f"ezav.cli.{MODULES.get(name, name)}")
        parser = parser_of(module.CLI)
        inner = _inner(parser)
        yield f"ezav {name}", module.__doc__ or "", parser
        for word, sub in inner.items():
            yield f"ezav {name} {word}", sub.description or "", sub


def parser_of(command: object) -> argparse.ArgumentParser:
    """The parser that tyro makes of a command."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return tyro.extras.get_parser(command)  # type: ignore[call-overload,no-any-return]


def options_of(parser: argparse.ArgumentParser) -> list[Option]:
    """What a parser takes, in its order, without what every command takes."""
    groups = {id(a): g.title or "" for g in parser._action_groups for a in g._group_actions}
    found = []
    for action in parser._actions:
        if isinstance(action.choices, dict) or SHARED & set(action.option_strings):
            continue
        text, default = _split(str(action.help or ""))
        value = "" if action.nargs == 0 else str(action.metavar or "")
        names = tuple(action.option_strings) or (value or action.dest.upper(),)
        value = value if action.option_strings else ""
        found.append(Option(names, value, text, default, groups.get(id(action), "")))
    return found


def method_options(method: str) -> list[Option]:
    """The settings of a method and of its training: options of `ezav run METHOD`."""
    parser = parser_of(cli_for([method]))
    return [one for one in options_of(parser) if one.names[0].startswith(("--config", "--train"))]


def command_line_page() -> str:
    """The Markdown of reference/command-line.md."""
    lines = [
        "# Command line",
        "",
        "Every command takes `--help`, which explains it, and `--json`, which prints the result or "
        "the error as one JSON document on stdout. Progress goes to stderr. A command ends with "
        "status 0 only when it did what was asked: 1 means that it failed, 2 that it was not "
        "understood, 130 that it was interrupted. The settings of the methods, which `ezav run` "
        "takes too, stand on [a page of their own](method-settings.md).",
        "",
    ]
    for words, says, parser in parsers():
        sub = words.count(" ") > 1
        lines += [f"{'###' if sub else '##'} {words}", "", _prose(says), ""]
        lines += _listed(options_of(parser))
    return "\n".join(lines) + "\n"


def method_settings_page() -> str:
    """The Markdown of reference/method-settings.md."""
    lines = [
        "# Settings of the methods",
        "",
        "`ezav run METHOD STORE --out RUN` takes these options beside those of [`ezav run`]"
        "(command-line.md#ezav-run). A default is that of the method's recipe; a recipe for the "
        "store's data set may say otherwise, and `ezav run METHOD STORE --help` then shows it.",
        "",
        "## Training",
        "",
        "These settings are the same for every method that is trained.",
        "",
    ]
    training = [one for one in method_options("ez_avgzl") if one.names[0].startswith("--train")]
    lines += _listed(training)
    for method in sorted(registry.names()):
        own = [one for one in method_options(method) if one.names[0].startswith("--config")]
        lines += [f"## {method}", "", *(_listed(own) or ["It has no settings.", ""])]
    return "\n".join(lines) + "\n"


def _inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action.choices, dict):  # of sub-commands; tyro has classes of its own
            return dict(action.choices)
    return {}


def _split(text: str) -> tuple[str, str]:
    """The help text, and the default that tyro writes behind it."""
    text = re.sub(r"\s+", " ", text).strip()
    found = re.search(r"\s*\((required|repeatable|default: (.*)|optional)\)$", text)
    if found is None:
        return text, ""
    return text[: found.start()], found[2] if found[2] is not None else found[1]


def _listed(options: list[Option]) -> list[str]:
    lines: list[str] = []
    group = ""
    for one in options:
        if one.group != group and one.group not in {"positional arguments", "options"}:
            lines += ["", f"*{_escaped(one.group.removesuffix(' options'))}*", ""]
        group = one.group
        names = ", ".join(f"`{name}`" for name in one.names)
        value = f" `{one.value}`" if one.value else ""
        default = f" *({_default(one.default)})*" if one.default else ""
        lines.append(f"- {names}{value}{default}  \n  {_escaped(one.help)}")
    return [*lines, ""] if lines else []


def _default(text: str) -> str:
    return text if text == "required" else f"default `{text}`"


def _prose(docstring: str) -> str:
    """A command's docstring: paragraphs, and its indented lines as a block."""
    blocks = []
    for block in docstring.strip().split("\n\n"):
        if all(line.startswith("  ") for line in block.splitlines()):
            blocks.append("```text\n" + re.sub(r"(?m)^  ", "", block) + "\n```")
        else:
            blocks.append(_escaped(block))
    return "\n\n".join(blocks)


def _escaped(text: str) -> str:
    """Help text as Markdown: what is in backticks stays, the rest has no markup."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([<>*_|\[\]])", r"\\\1", part) for part in parts
    )
