"""Workers end with the process that began them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ezav.benchmarks.processes import training_pool
from tests.waiting import MINUTES, wait_until

PARENT = """
import os, time
from ezav.benchmarks.processes import training_pool
if __name__ == "__main__":
    with training_pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 3600)
        time.sleep(3600)
"""


def runs(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_parent_leaves_no_workers(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    here = tmp_path / "here"  # what lies in the current folder is not imported
    here.mkdir()
    (here / "torch.py").write_text("raise SystemExit('not this one')")
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=here
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert runs(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    try:
        wait_until(lambda: not runs(worker), "the worker's end")
    finally:
        if runs(worker):
            os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("said", ["first", "then"])
def test_workers_have_the_environment_of_today(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EZAV_TEST_SAID", said)
    with training_pool(1) as pool:
        assert pool.submit(os.getenv, "EZAV_TEST_SAID").result() == said


INTERRUPTED = """
import os, signal, time
from ezav.benchmarks.processes import training_pool
if __name__ == "__main__":
    with training_pool(1) as pool:
        worker = pool.submit(os.getpid).result()
        os.kill(worker, signal.SIGINT)  # as Ctrl-C, which reaches every process of a terminal
        assert pool.submit(os.getpid).result() == worker
        running = pool.submit(time.sleep, 3600)
        os.kill(os.getpid(), signal.SIGINT)
        running.result()
"""


def test_an_interrupt_ends_what_runs(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(INTERRUPTED)
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        timeout=MINUTES,
        # A suite that runs in the background of a shell is told to ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr.count(b"Traceback") == 1  # the parent's own
