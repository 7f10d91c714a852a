"""`ezav`: parse, call, print. Each command lives in its own file, imported when it is named."""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.text import Text

import ezav
from ezav.cli.common import Command, output, progress
from ezav.errors import EzavError

COMMANDS: dict[str, str] = {
    "demo": "from generated videos to classes never seen, end to end, in minutes",
    "extract": "a folder (or manifest) of labelled videos -> a feature store",
    "run": "train and test a method on a feature store under the two-stage protocol",
    "predict": "name what is in clips, among the known classes or any names you type",
    "scan": "find events in long recordings",
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
    "methods": "the methods, their papers and what they are checked against",
    "encoders": "the encoders, their sources, licences and training data",
    "classes": "optimise and inspect class embeddings, and draw their trade-off",
    "serve": "a web page for a run: drop a clip, edit the class names",
}
"""Command name -> one line of help. `ezav.cli.<name>` holds its `CLI`."""
_GO_ON = {"demo", "extract", "run", "bench", "ablate", "tune", "import", "simulate", "features"}
"""Commands that, interrupted and called again, go on where they stopped."""

_MODULES = {"import": "import_"}
_USAGE = 2
_INTERRUPTED = 130


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
        "\nEvery command takes --json (the result on stdout; progress goes to stderr) and ends "
        "with\nstatus 0 only when it did what was asked."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 failed, 2 usage, 130 interrupted)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _overview()
        return 0 if arguments else _USAGE
    if arguments[0] == "--version":
        output.print(f"ezav {ezav.__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        progress.print(f"ezav: no command {name!r}; ezav --help lists them")
        return _USAGE
    try:
        return _run(name, rest)
    except EzavError as error:
        progress.print(Text(f"ezav {name}:", "red"), str(error), soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        kept = "; what was finished is kept" if name in _GO_ON else ""
        progress.print(f"\nezav {name}: interrupted{kept}")
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f" ('{error.filename}')" if error.filename else ""
        told = f"{error.strerror or error}{where}"
        progress.print(Text(f"ezav {name}:", "red"), told, soft_wrap=True)
        return 1


def _run(name: str, rest: list[str]) -> int:
    import tyro

    module = importlib.import_module(f"ezav.cli.{_MODULES.get(name, name)}")
    # A command whose options depend on its arguments (the method's own) builds itself.
    cli = module.cli_for(rest) if hasattr(module, "cli_for") else module.CLI
    try:
        command: Command = tyro.cli(cli, args=rest, prog=f"ezav {name}", description=module.__doc__)
    except SystemExit as stop:  # tyro prints help and usage errors itself
        return int(stop.code or 0)
    result = command.run()
    if command.json:
        text = json.dumps(_finite(result), indent=2, default=str, allow_nan=False)
        sys.stdout.write(text + "\n")
    else:
        command.show(result)
    return int(result.get("status", 0))


def _finite(value: Any) -> Any:
    """With None for numbers that JSON does not have: what is not known, or has no bound."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
