"""Without POSIX's modules, signals and flags every module can be imported all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.test_rooms import modules

CHILD = """
import os, signal, sys, uuid
import torch, torch.utils.data, transformers, starlette, optuna, pyarrow.parquet
import numba, matplotlib.pyplot
import asyncio, multiprocessing.pool, subprocess, socket, tempfile, shutil, getpass, uvicorn

ABSENT = ("resource", "fcntl", "pwd", "grp", "termios")
for name in ABSENT:
    sys.modules[name] = None
for owner, names in (
    (os, ("fork", "getuid", "geteuid", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sysconf")),
    (os, ("sched_getaffinity", "killpg", "setsid")),
    (signal, ("SIGHUP", "SIGKILL", "SIGALRM", "setitimer", "ITIMER_REAL")),
):
    for name in names:
        delattr(owner, name)

import importlib
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(failed or "all")

from pathlib import Path
from ezav import safe_io, system
from ezav.cli.ending import ended_tidily
with ended_tidily():
    pass
folder = Path(tempfile.mkdtemp())
(folder / "link").symlink_to("elsewhere")
try:
    safe_io.open_for_writing(folder / "link")
except safe_io.RefusedError as error:
    print("refused" if not (folder / "elsewhere").exists() else "followed")
os.close(safe_io.open_for_writing(folder / "file"))
print(system.user(), system.is_mine(12345))
from ezav.web.connections import Connections
print(len(Connections(10, 2)))
"""
NOT_MODULES = ("ezav.__main__", "ezav.export.example_without_torch")
"""Programs: they run when they are imported."""


def test_every_module_is_imported_without_posix(tmp_path: Path) -> None:
    names = [name for name in modules() if name not in NOT_MODULES]
    assert len(names) > 400
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *names], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:4] == ["all", "refused", "None True", "0"]
