"""The fenced blocks of a page, and what happens when a reader pastes them one after the other.

`sh` is run, `python` is executed (names carry over from block to block), and a `text` block behind
either is its output. A block that begins with `# name.ext` is a file that the reader saves. A block
that cannot be run here has `<!-- not run: the reason -->` above it, and an output of other data
than the test's `<!-- not compared: the reason -->`. In an output figures stand for any figures,
since another processor rounds otherwise, and `...` for anything.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ezav.cli.main import main

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([\w]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (not run|not compared): ((?:(?!-->).)+) -->\s*\Z", re.DOTALL)
_FILE = re.compile(r"\A(?:# |<!-- )([\w-]+\.\w+)(?: -->)?\n")
_PROGRESS = re.compile(r"^\w+ [\d,.]+ of [\d,.]+ \w+, .*$|^.* left$")
_NUMBER = re.compile(r"[-+−]?\d[\d,.]*")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line it begins at, and why it is left out."""

    language: str
    text: str
    line: int
    not_run: str = ""
    not_compared: str = ""

    @property
    def file(self) -> str:
        """The name under which the reader saves it, or nothing."""
        found = _FILE.match(self.text)
        return found[1] if found and self.language != "sh" else ""


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for fence in _FENCE.finditer(text):
        mark = _MARK.search(text, 0, fence.start())
        line = text.count("\n", 0, fence.start()) + 1
        why = {mark[1].replace(" ", "_"): mark[2]} if mark else {}
        found.append(Block(fence[1], fence[2], line, **why))
    return found


@dataclass
class Reader:
    """Somebody in a folder who pastes what a page says."""

    folder: Path
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    said: str = ""

    def paste(self, block: Block) -> None:
        """Run or save one block; `said` is what it printed. Fails where a command fails."""
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self.said = "".join(self._line(line) for line in _lines(block.text))
        elif block.language == "python":
            with self._heard() as heard:
                exec(compile(block.text, f"line {block.line}", "exec"), self.names)
            self.said = heard.getvalue()

    def _line(self, line: str) -> str:
        words = shlex.split(line)
        if words[:1] == ["PYTHONPATH=."]:
            words = words[1:]
        if words[0] != "ezav" or re.search(r"[|&;>$]", re.sub(r'"[^"]*"', "", line)):
            return self._shell(line)
        with self._heard() as heard:
            status = main([path for word in words[1:] for path in _expanded(word, line)])
        assert status == 0, f"`{line}` ended with status {status}:\n{heard.getvalue()}"
        return heard.getvalue()

    def _shell(self, line: str) -> str:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        python = os.pathsep.join([".", str(ROOT / "src")])
        done = subprocess.run(
            ["bash", "-c", f'ezav() {{ python -m ezav "$@"; }}\n{line}'],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": python},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"`{line}` failed:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def _heard(self) -> Iterator[io.StringIO]:
        heard = io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(heard),
            contextlib.redirect_stderr(heard),
        ):
            yield heard


def difference(shown: str, said: str) -> str:
    """Why an output is not what the page shows; empty where it is."""
    lines = [line for line in said.splitlines() if line.strip() and not _PROGRESS.match(line)]
    said = "\n".join(map(_masked, lines))
    parts = [
        re.escape(part)
        for part in re.split(
            r"\.\.\.|…", "\n".join(_masked(line) for line in shown.splitlines() if line.strip())
        )
    ]
    pattern = (
        r"[\s\S]*?".join(parts)
        .replace(r"[\s\S]*?\n", r"[\s\S]*?\n?")
        .replace(r"\n[\s\S]*?", r"\n?[\s\S]*?")
    )
    if re.fullmatch(pattern, said.strip()):
        return ""
    return f"the page shows\n{shown}\nand it says\n{said}\n(pattern {pattern})"


def _masked(line: str) -> str:
    line = re.sub(r"\s+", " ", line.replace("...", "…")).strip()
    return _NUMBER.sub("0", line)


def _lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _expanded(word: str, line: str) -> list[str]:
    """A word as the shell hands it over: patterns that stand without quotes become paths."""
    if not any(c in word for c in "*?[") or f'"{word}"' in line or f"'{word}'" in line:
        return [word]
    return sorted(glob.glob(word)) or [word]
