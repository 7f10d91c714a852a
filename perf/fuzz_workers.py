"""Forked workers that read many changed inputs each, within limits and watched; for `fuzz.py`.

What an input costs is counted in processor time, so that a busy machine makes nothing look endless.
The number of the input in hand is in shared memory: a worker that dies tells which one it was.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

from ezav.errors import EzavError
from fuzz_mutations import CANARY, mutated
from fuzz_readers import digests_off
from fuzz_targets import Target

SECONDS = 10
"""Of processor time, for one input."""
MEMORY = 3 << 30
"""Of address space, above what a worker has when it begins."""
GROWN = 512 << 20
"""Of memory in use, that one input may add."""
CHUNK = 5000
WALL = 600
"""Seconds after which a worker that does nothing is ended."""
COSTS = "costs.jsonl"
"""Of inputs that cost a worker that they may cost."""
ENDLESS = "does not end"
OUTCOMES = ("read", "refused", "damaged", "unreadable", "too long", "too much memory", "crashed")
_SHARED = struct.Struct(f"<{1 + len(OUTCOMES)}q")
"""The number of the input in hand, and how many came to what."""
_CHANGES = {
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "shutil.rmtree"),
}
_NEVER = {
    *("os.system", "subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "socket.connect"),
    *("socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen"),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class TooLongError(BaseException):
    """Not an `Exception`, which a reader may take for a damaged file."""


class Watch:
    """What a reader may not do, told by Python's own audit events."""

    def __init__(self, inside: Path) -> None:
        import sys

        self.inside = os.path.realpath(inside) + os.sep
        self.on = False
        self.seen = ""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.seen:
            return
        if event in _NEVER:
            self.seen = f"{event} {str(arguments)[:200]}"
        elif event == "import" and str(arguments[0]).startswith(CANARY):
            self.seen = f"import of {CANARY}"
        elif event in _CHANGES:
            self._inside(event, arguments[:2] if "rename" in event else arguments[:1])
        elif event == "open" and isinstance(arguments[0], str | bytes):
            mode, flags = arguments[1], arguments[2]
            if (isinstance(flags, int) and flags & _WRITES) or set(mode or "") & set("wax+"):
                self._inside("a write", arguments[:1])

    def _inside(self, what: str, paths: tuple[Any, ...]) -> None:
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                found = os.path.realpath(os.fsdecode(path))
                if not found.startswith((self.inside, "/dev/null")):
                    self.seen = f"{what} at {found}"


def change(target: Target, files: list[tuple[Path, bytes]], seed: int) -> Iterator[Path]:
    """Write the changed files of an input; gives their paths."""
    draw = random.Random(seed * 1_000_003 + zlib.crc32(target.name.encode()))
    for path, data in draw.sample(files, 1 if draw.random() < 0.9 else min(2, len(files))):
        path.write_bytes(mutated(path.name, data, draw))
        yield path


def one_input(
    target: Target, place: Path, files: list[tuple[Path, bytes]], seed: int
) -> tuple[str, str]:
    """Read one mutated input: what became of it, and what is wrong with that (or "")."""
    changed = list(change(target, files, seed))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return target.read(place, changed) or "read", ""
    except EzavError as error:
        return "refused", _message(str(error))
    except OSError as error:  # the command line says those in a line, too
        return "read", f"OSError {error.errno}: {where(error)}"
    except (TooLongError, MemoryError) as error:
        kind = "too long" if isinstance(error, TooLongError) else "too much memory"
        return kind, "" if target.costly else f"{kind}: {where(error)}"
    except BaseException as error:
        return "read", f"{type(error).__name__}: {where(error)}: {str(error)[:150]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        kept = dict(files)
        for path in changed:
            path.write_bytes(kept[path])


def _message(said: str) -> str:
    if not said or "\n" in said:
        return f"not one line: {said[:100]!r}"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in said if not letter.isalnum()):
        return f"it acts on a terminal: {said[:200]!r}"
    return ""


def where(error: BaseException) -> str:
    """The last place of the product's own that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/ezav/" in frame.filename]
    last = (ours or frames)[-1]
    return f"at {last.filename.rpartition('/ezav/')[2]}:{last.lineno} {last.name}"


def files_of(target: Target, place: Path) -> list[tuple[Path, bytes]]:
    """The files that are changed, with their valid content."""
    found = {path for pattern in target.files for path in place.glob(pattern) if path.is_file()}
    return [(path, path.read_bytes()) for path in sorted(found)]


def one_valid(target: Target, place: Path) -> str:
    """What is wrong with reading the valid files; "" where nothing is."""
    try:
        target.read(place, [path for path, _ in files_of(target, place)])
        return ""
    except BaseException as error:
        return f"the valid files: {type(error).__name__}: {error}"


@dataclass(frozen=True)
class Batch:
    """Inputs of one target for one worker.

    Attributes:
        valid: the folder of the corpus.
        begin: the first input's number.
        turn: seconds of processor time after which the worker ends.
        room: a folder of the worker's own.
        findings: where what was found is added.
    """

    target: Target
    valid: Path
    begin: int
    turn: float
    room: Path
    findings: Path

    def tell(self, seed: int, what: str, cost: bool = False) -> None:
        """Add a finding; or, where it may cost a worker, that it did."""
        path = self.findings.with_name(COSTS) if cost else self.findings
        with path.open("a") as file:
            line = {"target": self.target.name, "seed": seed, "what": what}
            file.write(json.dumps(line) + "\n")


def run_batch(batch: Batch) -> tuple[int, Counter[str]]:
    """Read up to `CHUNK` inputs in a forked worker: the next one's number, what became of them."""
    shared = mmap(-1, _SHARED.size)
    shared[:] = _SHARED.pack(batch.begin, *[0] * len(OUTCOMES))
    child = os.fork()
    if child == 0:
        try:
            _work(batch, shared)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)
    died = _watched(child, shared)
    at, *counts = _SHARED.unpack(shared)
    found = Counter(dict(zip(OUTCOMES, counts)))
    if died:
        found["too long" if died == ENDLESS else "crashed"] += 1
        batch.tell(at, died, batch.target.costly)
        at += 1
    return at, +found


def _watched(child: int, shared: mmap) -> str:
    """Wait for a worker; how it died, if it did."""
    before, since, used = -1, time.monotonic(), 0.0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return f"the worker ended with {code}" if code else ""
        at = _SHARED.unpack(shared)[0]
        if at != before:
            before, since, used = at, time.monotonic(), _processor(child)
        elif _processor(child) - used > 4 * SECONDS or time.monotonic() - since > WALL:
            os.kill(child, signal.SIGKILL)  # in native code, where no signal is heard
            os.waitpid(child, 0)
            return ENDLESS
        time.sleep(0.02)


def _processor(process: int) -> float:
    """Seconds of processor time that a process has used."""
    told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def _work(batch: Batch, shared: mmap) -> None:
    """Read inputs in this (forked) process; never returns."""
    target = batch.target
    place = _settle(batch)
    files = files_of(target, place)
    if wrong := one_valid(target, place):
        batch.tell(-1, wrong)
    _limits()
    before = _listing(batch.room)
    watch = Watch(batch.room)
    most, begun, seed, found = _most(), time.process_time(), batch.begin, Counter[str]()
    while seed < batch.begin + CHUNK and time.process_time() - begun < batch.turn:
        watch.on, watch.seen = True, ""
        kind, wrong = one_input(target, place, files, seed)
        watch.on = False
        if _most() - most > GROWN and not target.costly:
            wrong = wrong or f"{(_most() - most) >> 20} MiB"
        most = max(most, _most())
        if wrong := watch.seen or wrong:
            batch.tell(seed, wrong)
        seed, found[kind] = seed + 1, found[kind] + 1
        shared[:] = _SHARED.pack(seed, *(found[name] for name in OUTCOMES))
        if kind in ("too long", "too much memory"):
            batch.tell(seed - 1, kind, target.costly)
            break  # not trusted with the next, as in extraction
    if more := _listing(batch.room) - before:
        batch.tell(batch.begin, f"new files: {sorted(more)[:3]}")
    os._exit(0)


def _settle(batch: Batch) -> Path:
    """The worker's own copy of the valid files, its temporary folder and its current one."""
    shutil.rmtree(batch.room, ignore_errors=True)
    for name in ("here", "tmp", "current"):
        (batch.room / name).mkdir(parents=True)
    place = batch.room / "here" / "input"
    shutil.copytree(batch.valid / batch.target.folder, place)
    tempfile.tempdir = str(batch.room / "tmp")
    os.environ["XDG_CACHE_HOME"] = str(batch.room / "cache")
    os.chdir(batch.room / "current")
    if batch.target.unchecked:
        digests_off()
    return place


def _limits() -> None:
    def stop(*_: Any) -> None:
        raise TooLongError

    signal.signal(signal.SIGPROF, stop)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, has + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _most() -> int:
    """The most memory that this process had in use, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _listing(room: Path) -> set[str]:
    """Files, but for those that a reader writes by its nature."""
    names = (path.relative_to(room).as_posix() for path in room.rglob("*"))
    own = ("here/imported", "cache", "here/input/.", "here/input/tune")
    return {name for name in names if not name.startswith(own) and not name.endswith(".part")}
