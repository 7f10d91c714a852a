"""A kill at any moment: nothing lost but the clips in hand, nothing twice, the same store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ezav.extraction import Progress, extract
from ezav.features import FeatureStore
from ezav.features.verify import verify_store
from tests.extraction.encoders import AUDIO, SLOW, TEXT
from tests.waiting import MINUTES, wait_until


def kill_one(videos: Path, out: Path, clips: int, later: float) -> None:
    """Extract in a forked process; kill it when it has done so many clips, and a little later.

    Eight clips later it waits for that, so that it never ends before.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        done = []

        def tell_or_wait(_: Progress) -> None:
            done.append(os.write(tell, b"."))
            if len(done) > clips + 8:
                signal.pause()

        try:
            extract(
                videos,
                out,
                visual=SLOW,
                audio=AUDIO,
                text=TEXT,
                workers=2,
                on_progress=tell_or_wait,
            )
        finally:
            os._exit(0)
    os.close(tell)
    for _ in range(clips):
        os.read(told, 1)
    time.sleep(later)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(told)
    assert os.WIFSIGNALED(status)


def test_kills_at_random_moments_change_nothing(videos: Path, tmp_path: Path) -> None:
    undisturbed = extract(
        videos, tmp_path / "quiet", visual=SLOW, audio=AUDIO, text=TEXT, workers=2
    )
    rng = random.Random(0)
    out = tmp_path / "killed"
    for clips in (0, 1, 4, 0, 6, 3):
        kill_one(videos, out, clips, rng.uniform(0, 0.5 if not clips else 0.06))
    report = extract(videos, out, visual=SLOW, audio=AUDIO, text=TEXT, workers=2)
    assert report.fingerprint == undisturbed.fingerprint
    assert report.earlier + report.added == 30
    assert report.earlier >= 14
    one, other = (FeatureStore.open(path).index for path in (tmp_path / "quiet", out))
    for column in ("clip", "class", "split", "checksum", "duration", "status", "reason"):
        assert one.column(column).to_pylist() == other.column(column).to_pylist()
    assert verify_store(out).sound
    left = [path.name for path in out.rglob("*") if path.suffix in {".part", ".journal"}]
    assert left == []


def test_an_interrupt_keeps_what_is_finished(videos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ezav", "extract", str(videos), "--out", str(tmp_path / "s")]
    command += ["--visual", SLOW, "--audio", AUDIO, "--text", TEXT, "--workers", "2"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "EZAV_TEST_PAUSE": "0.5"},
        # A suite that runs in the background of a shell is told to ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    shards = tmp_path / "s" / "shards"
    wait_until(
        lambda: any(path.stat().st_size > 3_000 for path in shards.glob("*.journal")),
        "some clips in the journal",
    )
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=MINUTES)
    assert process.returncode == 130
    assert "interrupted; what was finished is kept" in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(workers, timeout=MINUTES)
    assert alive == []
    report = extract(videos, tmp_path / "s", visual=SLOW, audio=AUDIO, text=TEXT, workers=2)
    assert report.earlier >= 3
    assert report.earlier + report.added == 30


def test_a_full_disk_is_one_line(videos: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    script = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))\n"
        "from ezav.cli.main import main\n"
        "import sys; sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = ["extract", str(videos), "--out", str(tmp_path / "s"), "--workers", "1"]
    arguments += ["--visual", SLOW, "--audio", AUDIO, "--text", TEXT]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=MINUTES
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "cannot write" in line]
    assert len(lines) == 1
    assert "free some space" in lines[0]
    assert "Traceback" not in done.stderr
    report = extract(videos, tmp_path / "s", visual=SLOW, audio=AUDIO, text=TEXT, workers=2)
    assert report.readable == 30
    if not report.earlier:
        pytest.fail("what was written before the disk was full is lost")
