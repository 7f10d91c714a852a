"""Disks that fail: every write of every command that writes fails once, in each of four ways.

    python perf/disk_faults.py [--cases extract run …] [--kinds ENOSPC EIO SHORT FULL] [--every 1]

`disk_faults.c`, compiled with gcc and preloaded, lets the n-th write, sync, rename, truncation or
making of a file under the command's folder fail, for n = 1 … until it passes without one: whatever
writes is met, safetensors, Arrow and SQLite too. Afterwards

- the command has ended with status 0, or with one line and no traceback;
- the folder holds what was there before, or what the command writes, whole;
- the same command, undisturbed, ends well and leaves the files of an undisturbed folder alone.

A row a command: its writes, the faults that were tried, how it ended, and findings. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from small_world import Case

KINDS = {"ENOSPC": 1, "EIO": 2, "SHORT": 3, "FULL": 4}
HERE = Path(__file__).resolve().parent


def library(root: Path) -> Path:
    """The shim, compiled."""
    made = root / "disk_faults.so"
    source = HERE / "disk_faults.c"
    command = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return made


def listing(folder: Path) -> set[str]:
    """The files under a folder; what is named by its content by its beginning alone."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name.split("-")[0] if "taught-" in name else name for name in names}


class Tried:
    """One command on a folder, in a forked process, with or without a fault."""

    def __init__(self, case: Case, folder: Path, at: int, kind: int, notes: Path) -> None:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            self._be(case, folder, at, kind, notes)
        _, status = os.waitpid(child, 0)
        self.status = os.waitstatus_to_exitcode(status)
        self.said = (notes / "said").read_text(errors="replace")
        told = notes / "told"
        self.told = json.loads(told.read_text()) if told.exists() else {}
        told.unlink(missing_ok=True)

    @staticmethod
    def _be(case: Case, folder: Path, at: int, kind: int, notes: Path) -> None:
        from ezav.cli.main import main

        said = os.open(notes / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        shim = ctypes.CDLL(None)
        os.environ["COLUMNS"] = "500"
        status = 99
        try:
            shim.fault_arm(str(folder).encode(), ctypes.c_long(at), kind)
            status = main(case.argv(folder)) if case.act is None else case.act(folder)
        except BaseException:
            traceback.print_exc()
        finally:
            seen, fired = shim.fault_seen(), shim.fault_fired()
            sorts = [shim.fault_what(ctypes.c_long(n)) for n in range(1, seen + 1)]
            shim.fault_arm(b"", ctypes.c_long(0), 0)
            told = {"fired": fired, "sorts": sorts, "modules": list(sys.modules)}
            (notes / "told").write_text(json.dumps(told))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status if isinstance(status, int) else 98)


def wrong(tried: Tried) -> str:
    """How a command ended that should have ended well, or with one line; "" where it did."""
    if "Traceback" in tried.said or tried.status not in (0, 1):
        return f"status {tried.status}: {tried.said[-1500:]}"
    lines = [line for line in tried.said.splitlines() if line.startswith("ezav ")]
    if tried.status and len(lines) != 1:
        return f"status {tried.status}, {len(lines)} lines: {tried.said[-500:]}"
    return ""


def try_case(case: Case, root: Path, kinds: list[str], every: int) -> tuple[Counter, list[str]]:
    """Let each operation of a case fail in each way."""
    folder, notes = root / "target", root / "notes"
    notes.mkdir(exist_ok=True)

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        case.ready(folder)

    fresh()
    old = case.state(folder)
    calm = Tried(case, folder, 0, 0, notes)
    assert calm.status == 0, calm.said
    for name in calm.told["modules"]:  # once here, not in every fork
        with suppress(Exception):
            importlib.import_module(name)
    new, files, sorts = case.state(folder), listing(folder), calm.told["sorts"]
    counts, findings = Counter(writes=len(sorts)), []
    for kind in kinds:
        for at in range(1, len(sorts) + 1, every):
            sort = sorts[at - 1]
            if (kind == "ENOSPC" and sort == 2) or (kind in ("SHORT", "FULL") and sort != 1):
                continue
            fresh()
            tried = Tried(case, folder, at, KINDS[kind], notes)
            counts["tried"] += 1
            counts["passed" if tried.status == 0 else "said in a line"] += 1
            said = f"{case.name}, {kind} at {at}"
            if found := wrong(tried):
                findings.append(f"{said}: {found}")
            try:
                state = case.state(folder)
                if state not in (old, new) and case.name not in ("predict", "find", "check"):
                    findings.append(f"{said}: neither old nor new: {state}")
                if tried.status == 0 and state != new:
                    findings.append(f"{said}: status 0, and {state!r} is there")
                counts["new" if state == new else "old"] += 1
            except Exception as error:
                findings.append(f"{said}: not whole: {type(error).__name__}: {error}")
            if tried.status == 0 and case.name != "extract":  # a finished run is not overwritten
                continue
            again = Tried(case, folder, 0, 0, notes)
            exists = "exists already" in again.said
            if again.status and not exists:
                findings.append(f"{said}: again: {again.said[-1500:]}")
                continue
            try:
                if case.state(folder) != new:
                    findings.append(f"{said}: again: {case.state(folder)!r} is there")
            except Exception as error:
                findings.append(f"{said}: again, not whole: {type(error).__name__}: {error}")
            if litter := listing(folder) - files:
                findings.append(f"{said}: litter: {sorted(litter)}")
    return counts, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--every", type=int, default=1, help="every so-many-th write")
    parser.add_argument("--root", type=Path, help="where the world is made, and kept")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.root or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        if "disk_faults" not in os.environ.get("LD_PRELOAD", ""):
            preload = {**os.environ, "LD_PRELOAD": str(library(root)), "OMP_NUM_THREADS": "1"}
            return subprocess.run([sys.executable, *sys.argv], env=preload).returncode
        return table(root, arguments)


def table(root: Path, arguments: argparse.Namespace) -> int:
    """Try the cases and print a row for each; 1 where there are findings."""
    import small_world

    warnings.simplefilter("ignore")
    world = small_world.make(root)
    all_of_them = small_world.cases(world)
    chosen = [c for c in all_of_them if not arguments.cases or c.name in arguments.cases]
    print("| command | writes | faults | ended well | said in a line | old | new | findings |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    total = 0
    for case in chosen:
        counts, findings = try_case(case, root, arguments.kinds, arguments.every)
        names = ("writes", "tried", "passed", "said in a line", "old", "new")
        cells = " | ".join(str(counts[name]) for name in names)
        print(f"| `{case.name}` | {cells} | {len(findings)} |", flush=True)
        total += len(findings)
        for finding in findings:
            print(finding, file=sys.stderr, flush=True)
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
