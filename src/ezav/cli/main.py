"""`ezav`: parse, call, print. Each command lives in its own file, imported when it is named."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence

from rich.text import Text

import ezav
from ezav.cli.arguments import read_arguments
from ezav.cli.as_json import json_text
from ezav.cli.common import Command, output, progress
from ezav.cli.ending import write_what_can_be_written
from ezav.cli.failure import FAILED, INTERRUPTED, USAGE, Failure, UsageError, failure_of
from ezav.cli.flags import flags_of
from ezav.errors import EzavError

COMMANDS: dict[str, str] = {
    "demo": "from generated videos to classes never seen, end to end, in minutes",
    "extract": "a folder (or manifest) of labelled videos -> a feature store",
    "check": "look at a feature store first: wrong labels, copies, odd clips, what more would help",
    "run": "train and test a method on a feature store under the two-stage protocol",
    "predict": "name what is in clips, among the known classes or any names you type",
    "teach": "new classes by a few clips, corrected answers, other names; nothing is trained",
    "scan": "find events in long recordings",
    "find": "the moments of a folder of recordings that fit a text, or a clip, best",
    "report": "tables and figures of runs, as one HTML page",
    "inspect": "recall class by class, and which moment and modality decided a clip",
    "export": "a run as ONNX and torch.export, with an example that needs no torch",
    "bench": "methods x seeds on feature stores, under one protocol, into one table",
    "ablate": "tables whose rows are one switch away from the full method",
    "tune": "hyper-parameters chosen on validation, written as a recipe",
    "compare": "is one run better than another? A paired bootstrap over clips",
    "import": "the published feature files (AVCA, TCaF, ClipClap) -> a feature store",
    "simulate": "a simulated benchmark of the real size",
    "features": "inspect, verify and merge feature stores",
    "verify": "is a run or a feature store what was written? Every byte is compared",
    "sign": "say who made a run or a feature store, for whoever has your public key",
    "methods": "the methods, their papers and what they are checked against",
    "encoders": "the encoders, their sources, licences and training data",
    "classes": "optimise and inspect class embeddings, and draw their trade-off",
    "serve": "a web page for a run: drop a clip, edit the class names",
}
"""Command name -> one line of help. `ezav.cli.<name>` holds its `CLI`."""
_GO_ON = {"demo", "extract", "run", "bench", "ablate", "tune", "import", "simulate", "features"}
"""Commands that, interrupted and called again, go on where they stopped."""


def _overview() -> None:
    output.print(
        Text.assemble(
            ("ezav", "bold"),
            ": audio-visual generalized zero-shot learning. Recognise events in videos,\n"
            "including classes never seen in training, from the names of the classes.\n",
        )
    )
    output.print("usage: ezav COMMAND ...        ezav COMMAND --help explains one command\n")
    width = max(map(len, COMMANDS))
    for name, summary in COMMANDS.items():
        output.print(Text(f"  {name:<{width}}", "bold"), f" {summary}")
    output.print(
        "\nEvery command takes --json (the result, or the error, as JSON on stdout; progress goes\n"
        "to stderr) and ends with status 0 only when it did what was asked."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 failed, 2 usage, 130 interrupted)."""
    if argv is None:  # else a program that called keeps its own streams
        write_what_can_be_written()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _overview()
        return 0 if arguments else USAGE
    if arguments[0] == "--version":
        output.print(f"ezav {ezav.__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    command: Command | None = None
    try:
        command = _read(name, rest)
        return 0 if command is None else _run(command)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (EzavError, OSError, KeyboardInterrupt) as error:
        goes_on = name in _GO_ON or bool(getattr(command, "goes_on", False))
        failure = failure_of(error, {} if command is None else flags_of(command), goes_on)
        return _tell(name, failure, "--json" in rest)
    except Exception as error:  # a fault of ezav: Python shows where, programs are told too
        if "--json" in rest:
            sys.stdout.write(json_text(failure_of(error, {}), FAILED))
        raise


def _read(name: str, arguments: list[str]) -> Command | None:
    if name in COMMANDS:
        return read_arguments(name, arguments)
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "ezav --help lists them"
    raise UsageError(f"no command {name!r}", hint)


def _run(command: Command) -> int:
    for options in (command, getattr(command, "settings", None)):
        seed = getattr(options, "seed", 0)
        if isinstance(seed, int) and seed < 0:
            raise EzavError(f"`seed` must be 0 or more, not {seed}")
    result = command.run()
    found = result.get("status", 0) if isinstance(result, dict) else getattr(result, "status", 0)
    status = int(found)
    if command.json:
        sys.stdout.write(json_text(result, status))
    else:
        command.show(result)
    sys.stdout.flush()  # a reader that has gone is met here, not at the end of the process
    return status


def _tell(name: str, failure: Failure, as_json: bool) -> int:
    """Say why a command failed: a line on stderr and, if asked for, JSON on stdout."""
    if failure.status == INTERRUPTED:
        progress.print()  # ^C stands in the line
    program = f"ezav {name}:" if name in COMMANDS else "ezav:"
    progress.print(Text(program, "red"), failure.line(), soft_wrap=True)
    if as_json:
        sys.stdout.write(json_text(failure, failure.status))
    return failure.status


if __name__ == "__main__":
    sys.exit(main())
