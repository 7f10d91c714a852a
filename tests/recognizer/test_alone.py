"""Two processes on one run, store or recogniser: one at a time, and a dead one is no matter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ezav import private
from ezav.alone import alone, whole_folder
from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.features import FeatureStore
from ezav.recognizer import Recognizer
from tests.recognizer.small_run import NAMES

HOLD = """
import fcntl, os, sys
for path in sys.argv[1:]:
    fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
OLD, NEW = NAMES[0], "zorbing"


@contextmanager
def another_process(*locks: Path) -> Iterator[subprocess.Popen[str]]:
    """One that holds these locks, and knows nothing of ezav; killed at the end if not before."""
    command = [sys.executable, "-c", HOLD, *map(str, locks)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def world(stored: tuple[FeatureStore, Path], tmp_path: Path) -> Path:
    """A store and a run to be changed, and descriptions of the classes."""
    shutil.copytree(stored[0].path, tmp_path / "store")
    shutil.copytree(stored[1], tmp_path / "run")
    lines = "".join(f"{name},{name} that is heard\n" for name in NAMES)
    (tmp_path / "described.csv").write_text("name,description\n" + lines)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "lock", "said"),
    [
        (["run", "eszsl", "store", "--out", "new"], ".new.lock", "'new'"),
        (["run", "eszsl", "store", "--out", "new", "--seeds", "2"], "new/.seed-1.lock", "seed-1'"),
        (["bench", "store", "--methods", "eszsl", "--seeds", "1", "--processes", "1",
          "--out", "new"], "new/runs/eszsl/.seed-0.lock", "eszsl/seed-0'"),
        (["teach", "run", "--rename", OLD, NEW], "run/.taught.lock", "'run'"),
        (["teach", "run", "--rename", OLD, NEW, "--out", "new"], ".new.lock", "'new'"),
        (["features", "describe", "store", "described.csv"], "store/.writing.lock", "'store'"),
    ],
    ids=["run", "seeds", "bench", "teach", "teach --out", "describe"],
)  # fmt: skip
def test_two_processes_do_not_write_the_same(
    words: list[str],
    lock: str,
    said: str,
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(world)
    (world / lock).parent.mkdir(parents=True, exist_ok=True)
    before = {path: path.read_bytes() for path in (world / "run").iterdir() if path.is_file()}
    with another_process(world / lock) as other:
        assert main(words) == 1
        (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("ezav ")]
        assert "another process is writing" in line
        assert said in line
        assert all(path.read_bytes() == data for path, data in before.items())
        other.kill()
        other.wait()
        assert main(words) == 0
    left = {path.name for path in world.rglob(".*.lock")} - {".writing.lock"}
    assert not left


def test_what_two_processes_teach_in_turn_is_all_kept(world: Path) -> None:
    one, other = (Recognizer.load(world / "run") for _ in range(2))
    one.rename(NAMES[0], "zorbing")
    one.save_taught(world / "run")
    other.rename(NAMES[1], "curling")
    with pytest.raises(EzavError, match="was taught meanwhile"):
        other.save_taught(world / "run")
    assert "zorbing" in Recognizer.load(world / "run").classes


def test_a_block_may_stand_in_another_and_the_lock_goes(tmp_path: Path) -> None:
    with alone(tmp_path / "a"):
        with alone(tmp_path / "b" / ".." / "a"):
            assert (tmp_path / ".a.lock").exists()
        assert (tmp_path / ".a.lock").exists()
        with another_process(tmp_path / ".c.lock"), alone(tmp_path / "b"):
            pass
    assert not (tmp_path / ".a.lock").exists()
    (tmp_path / ".a.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EzavError, match="it is a link"), alone(tmp_path / "a"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with (  # noqa: PT012, what is raised is raised inside
        pytest.raises(EzavError, match="No space"),
        whole_folder(tmp_path / "a") as inside,
    ):
        (inside / "half").touch()
        raise full
    assert not list(tmp_path.iterdir())
    (tmp_path / ".a.part").mkdir()  # of a killed process
    (tmp_path / ".a.part" / "half").touch()
    with whole_folder(tmp_path / "a") as inside:
        assert not list(inside.iterdir())
        (inside / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with whole_folder(tmp_path / "a") as inside:
        assert inside.name == "a"


def test_a_server_swept_away_before_it_has_its_lock_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    swept: list[Path] = []

    def late(handle: int, *, wait: bool = False) -> None:
        if wait and not swept:  # another server finds the folder whose lock nobody holds yet
            (folder,) = tmp_path.glob("ezav-serve-*")
            shutil.rmtree(folder)
            swept.append(folder)
        os.fstat(handle)

    monkeypatch.setattr(private, "lock_file", late)
    with private.private_folder("serve") as folder:
        assert folder.is_dir()
        assert folder != swept[0]
