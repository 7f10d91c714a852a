"""Where and how the command runs: narrow encodings, signals, homes that keep nothing, proxies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ezav
from tests.waiting import wait_until

_SOURCE = str(Path(ezav.__file__).parent.parent)


def environment(**more: str) -> dict[str, str]:
    """This one's, with `more`; the names in capital letters that are empty are taken out."""
    given = {**os.environ, "PYTHONPATH": _SOURCE, **more}
    return {name: text for name, text in given.items() if text}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ezav", *arguments]
    return subprocess.run(command, env=environment(**more), capture_output=True, check=False)


def test_ascii_output_has_replacement_characters_and_the_status_of_the_work(tmp_path: Path) -> None:
    out = str(tmp_path / "w.safetensors")
    names = ["classes", "optimize", "--names", "naïve 猫", "dog", "--out", out]
    done = run(*names, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
    assert b"na?ve ?" in done.stdout
    assert Path(out).is_file()
    done = run(*names, "--json", PYTHONIOENCODING="ascii")
    pairs = json.loads(done.stdout)["before"]["closest"]
    assert {pairs[0]["first"], pairs[0]["second"]} == {"naïve 猫", "dog"}  # nothing is lost in JSON


def test_a_mistake_is_told_in_ascii_too(tmp_path: Path) -> None:
    done = run("classes", "inspect", str(tmp_path / "猫"), PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert rb"\u732b' does not exist" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_ends_a_command_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    """A program that writes in one step is ended while it writes, by each signal."""
    program = tmp_path / "writes.py"
    program.write_text(
        "import time\n"
        "from dataclasses import dataclass\n"
        "from ezav.cli import common, start, main\n"
        "from ezav.safe_io import atomic_path\n"
        "@dataclass(kw_only=True)\n"
        "class Endless(common.Command):\n"
        "    def run(self):\n"
        "        with atomic_path('made.txt') as path:\n"
        "            path.write_text('half')\n"
        "            time.sleep(600)\n"
        "main._read = lambda name, rest: Endless()\n"
        "raise SystemExit(start.main())\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, str(program), "demo"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    halves = tmp_path.glob
    wait_until(lambda: any(p.stat().st_size for p in halves(".made.txt.*")), "half a file")
    process.send_signal(number)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert b"what was finished is kept" in told
    assert b"Traceback" not in told
    assert [one.name for one in tmp_path.iterdir()] == ["writes.py"]


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As `nohup` does: the terminal is closed, the command goes on."""
    program = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from ezav.cli import ending\n"
        "with ending.ended_tidily():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('goes on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"goes on\n")


def test_an_interrupt_while_the_packages_load_is_quiet(tmp_path: Path) -> None:
    """The first package that is imported after the entry sends the signal."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8"
    )
    path = f"{tmp_path}{os.pathsep}{_SOURCE}"
    done = run("--version", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("home", ["/dev/null/home", "/proc/1/home"])
def test_without_a_home_the_cache_is_elsewhere_and_that_is_said_once(
    tmp_path: Path, home: str
) -> None:
    program = (
        "from ezav.safe_io import cache_folder\nprint(cache_folder())\nprint(cache_folder())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(HOME=home, TMPDIR=str(tmp_path), EZAV_CACHE=""),
        capture_output=True,
        check=False,
        text=True,
    )
    folder = tmp_path / f"ezav-cache-{os.getuid()}"
    assert done.stdout == f"{folder}\n{folder}\n"
    assert done.stderr.count("cannot keep what ezav makes") == 1
    assert folder.stat().st_mode & 0o777 == 0o700
