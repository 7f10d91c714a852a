"""A file that hangs, crashes or eats memory costs one clip; the pool goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.errors import EzavError
from ezav.extraction import EncodedClip, EncoderSpec, Reading, WorkerPool, encode_clip
from ezav.extraction.gather import Gathered
from ezav.extraction.process import Worker
from ezav.media import Clip, Waveform
from tests.extraction.encoders import AUDIO, HERE, HOSTILE, VISUAL, Level, MeanColour, OnDevice
from tests.media.files import sine, write_clip, write_timed, write_wav
from tests.waiting import MINUTES


def encoded(pool: WorkerPool, paths: list[Path]) -> dict[str, EncodedClip]:
    return {paths[index].name: clip for index, clip in pool.encode(paths)}


def test_hostile_files_cost_one_clip_each(tmp_path: Path) -> None:
    heights = {"hangs": 10, "crashes": 12, "hoards": 14, "raises": 6, "nan": 8}
    paths = []
    for name, height in heights.items():
        paths.append(write_clip(tmp_path / f"{name}.mp4", frames=2, size=(32, height), tone=None))
        paths.append(write_clip(tmp_path / f"after {name}.mp4", frames=2, tone=None))
    reading = Reading(seconds=3.0, memory=1 << 10)
    with WorkerPool(EncoderSpec(HOSTILE), None, workers=2, reading=reading) as pool:
        found = encoded(pool, paths[:1])
        pool.reading = Reading(seconds=MINUTES, memory=1 << 10)  # none but the first is slow
        found |= encoded(pool, paths[1:])
        again = encoded(pool, paths[1:2])
    assert set(found) == {path.name for path in paths}
    reasons = {name: found[f"{name}.mp4"].reason for name in heights}
    assert reasons == {
        "hangs": "took longer than 3 s",
        "crashes": "crashed the decoder (signal SIGSEGV)",
        "hoards": "needs more memory than allowed",
        "raises": f"'{VISUAL}' failed: RuntimeError: a surprise in two lines",
        "nan": f"'{VISUAL}' gave features that are not finite",
    }
    for name in heights:
        assert found[f"{name}.mp4"].status == "unreadable"
        assert found[f"after {name}.mp4"].status == "ok"
    assert again[paths[1].name].status == "ok"


def test_python_files_beside_the_recordings_are_not_run(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "queue", "ezav"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} was run', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with WorkerPool(None, EncoderSpec(AUDIO), workers=1) as pool:
        assert [clip.status for _, clip in pool.encode([videos / "dog" / "0.mp4"])] == ["ok"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".py"] * 3


def test_workers_find_what_this_process_found(videos: Path, tmp_path: Path) -> None:
    """With ezav and an encoder of one's own on this process's path only, none of them installed."""
    (tmp_path / "own.py").write_text("from tests.extraction.encoders import Level\n")
    clip = str(videos / "dog" / "0.mp4")
    script = (
        "import sys\n"
        f"sys.path[1:1] = {[str(tmp_path), *sys.path]}\n"
        "from ezav.extraction import EncoderSpec, WorkerPool\n"
        "with WorkerPool(None, EncoderSpec('own:Level'), workers=1) as pool:\n"
        f"    print([clip.status for _, clip in pool.encode([{clip!r}])])\n"
    )
    python = getattr(sys, "_base_executable", sys.executable)
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, cwd="/", env=environment
    )
    assert (done.stdout, done.returncode) == ("['ok']\n", 0), done.stderr


def test_a_name_that_no_file_can_have_costs_one_clip(videos: Path) -> None:
    with WorkerPool(None, EncoderSpec(AUDIO), workers=1) as pool:
        found = dict(pool.encode(["a\0b.mp4", videos / "dog" / "0.mp4"]))
    assert (found[0].status, found[0].reason) == ("unreadable", "no file can have such a name")
    assert found[1].status == "ok"


def test_memory_in_use_is_watched(videos: Path) -> None:
    reading = Reading(seconds=MINUTES, memory=200)
    with WorkerPool(EncoderSpec(f"{HERE}:Hoarder"), None, workers=1, reading=reading) as pool:
        ((_, clip),) = pool.encode([videos / "dog" / "0.mp4"])
    assert (clip.status, clip.reason) == ("unreadable", "needs more memory than allowed")


def test_a_worker_that_dies_without_a_file_costs_none(videos: Path) -> None:
    paths = sorted(videos.glob("*/*.mp4"))[:4]
    found = {}
    with WorkerPool(EncoderSpec(VISUAL), None, workers=1) as pool:
        for index, clip in pool.encode(paths):
            found[index] = (clip.status, clip.reason)
            if index == 1:  # while the caller has the clip, the system is out of memory
                pool._workers[0]._process.kill()
                pool._workers[0]._process.wait()
    assert found == dict.fromkeys(range(4), ("ok", ""))


@pytest.mark.parametrize("looks", [EncoderSpec(VISUAL), MeanColour()], ids=["there", "here"])
@pytest.mark.parametrize("kills", [1, 2])
def test_a_file_whose_worker_is_killed_is_read_again_once(
    kills: int, looks: EncoderSpec | MeanColour, videos: Path, tmp_path: Path
) -> None:
    """Also where a part of it has come already, to be encoded here."""
    paths = sorted((videos / "dog").glob("*.mp4"))[:3]
    sounds = EncoderSpec(f"{HERE}:Killed", {"folder": str(tmp_path), "kills": kills})
    with WorkerPool(looks, sounds, workers=1) as pool:
        found = encoded(pool, paths)
    with WorkerPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO), workers=1) as pool:
        quiet = encoded(pool, paths)
    lost = [clip for clip in found.values() if clip.status != "ok"]
    assert [clip.reason for clip in lost] == ["crashed the decoder (signal SIGKILL)"] * (kills - 1)
    for name in set(found) - {clip.path.name for clip in lost}:
        for slot, tokens in quiet[name].tokens.items():
            assert np.array_equal(found[name].tokens[slot].values, tokens.values)


@pytest.mark.parametrize(("kills", "ends"), [(3, False), (4, True)])
def test_a_worker_killed_as_it_begins_costs_none(
    kills: int, ends: bool, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted((videos / "dog").glob("*.mp4"))
    with WorkerPool(EncoderSpec(VISUAL), None, workers=1) as pool:
        begin, left = pool._worker, [None] * kills

        def killed_at_once() -> Worker:
            worker = begin()
            if left:
                left.pop()
                worker._process.kill()
            return worker

        monkeypatch.setattr(pool, "_worker", killed_at_once)
        pool._workers[0]._process.kill()
        pool._workers[0]._process.wait()  # no file is in its hands
        if ends:
            with pytest.raises(EzavError, match="a worker could not start: signal SIGKILL"):
                encoded(pool, paths)
        else:
            assert {clip.status for clip in encoded(pool, paths).values()} == {"ok"}


def test_workers_give_what_this_process_would(videos: Path) -> None:
    paths = sorted(videos.glob("*/*.mp4"))[:8]
    with WorkerPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO), workers=2) as pool:
        found = dict(pool.encode(paths))
        children = [worker._process.pid for worker in pool._workers]
    for index, path in enumerate(paths):
        alone = encode_clip(path, MeanColour(), Level())
        assert found[index].visual is not None
        assert found[index].audio is not None
        assert alone.visual is not None
        assert alone.audio is not None
        for ours, theirs in zip(found[index].visual, alone.visual):
            assert np.array_equal(ours, theirs)
        for ours, theirs in zip(found[index].audio, alone.audio):
            assert np.array_equal(ours, theirs)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_encoder_on_a_device_takes_batches_here(videos: Path, tmp_path: Path) -> None:
    paths = sorted(videos.glob("*/*.mp4"))
    bad = write_clip(tmp_path / "bad.mp4", frames=2, size=(32, 6), tone=None)
    silent = write_clip(tmp_path / "silent.mp4", frames=2, tone=None)
    sound = write_wav(tmp_path / "sound.wav", sine(300, 1.0, 8_000)[None], 8_000)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    mixed = [*paths[:20], bad, silent, sound, empty, *paths[20:]]
    OnDevice.batches.clear()
    with WorkerPool(OnDevice(), EncoderSpec(AUDIO), workers=2) as pool:
        found = dict(pool.encode(mixed))
    assert sorted(found) == list(range(len(mixed)))
    assert max(OnDevice.batches) > 1
    with WorkerPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO), workers=1) as pool:
        there = dict(pool.encode(mixed))
    for index, path in enumerate(mixed):
        if path == bad:
            assert found[index].reason == f"'{VISUAL}' failed: RuntimeError: not this one"
            assert (found[index].status, list(found[index].failed)) == ("unreadable", ["visual"])
            continue
        here, apart = found[index], there[index]
        assert (here.status, here.reason) == (apart.status, apart.reason)
        for ours, theirs in ((here.visual, apart.visual), (here.audio, apart.audio)):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert np.array_equal(ours.values, theirs.values)
                assert np.array_equal(ours.times, theirs.times)


def test_windows_of_a_long_recording_are_encoded_here(tmp_path: Path) -> None:
    rate = 8_000
    path = write_wav(tmp_path / "long.wav", sine(300, 200, rate, 0.1)[None], rate)
    with WorkerPool(None, Level(), workers=1) as pool:
        ((_, clip),) = pool.encode([path])
    assert clip.audio is not None
    assert clip.audio.times.tolist() == [30, 90, 150, 190]


def test_workers_end_when_their_master_is_gone(tmp_path: Path) -> None:
    pool = WorkerPool(EncoderSpec(VISUAL), None, workers=1)
    worker = pool._workers[0]
    worker.channel.close()  # what the death of this process does
    assert worker._process.wait(timeout=MINUTES) == 0
    pool.close()


def test_an_encoder_that_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(EzavError, match=r"no visual encoder named 'statistic'.*did you mean"):
        WorkerPool(EncoderSpec("statistic"), None, workers=1)
    with pytest.raises(EzavError, match="cannot import the visual encoder"):
        WorkerPool(EncoderSpec("no.such:Thing"), None, workers=1)
    with pytest.raises(EzavError, match="colour"):
        WorkerPool(EncoderSpec(VISUAL, {"colour": 1}), None, workers=1)


@pytest.mark.parametrize(("picture", "sound"), [(0.0, 20.0), (20.0, 0.0)])
def test_picture_and_sound_of_a_long_recording_count_from_one_moment(
    tmp_path: Path, picture: float, sound: float
) -> None:
    """A number of frames is read apart from the sound, whose windows begin with the sound."""
    pictures = [(picture + n, 90) for n in range(round(160 - picture))]
    path = write_timed(tmp_path / "late.mkv", pictures=pictures, sounds=[(sound, 160)])
    clip = encode_clip(path, MeanColour(frames=4), Level())
    assert clip.visual is not None
    assert clip.audio is not None
    width = (160 - picture) / 4
    assert clip.visual.times == pytest.approx(picture + width * (np.arange(4) + 0.5), abs=1)
    assert clip.audio.times[0] == pytest.approx(sound + 30, abs=0.2)
    assert clip.duration == pytest.approx(160, abs=1.1)


@pytest.mark.parametrize("spec", [{"frames": 2}, {"fps": 1.0}])
def test_a_long_recording_that_is_cut_is_damaged(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Also where a number of frames is read apart from the sound."""
    pictures = [(float(n), 90) for n in range(300)]
    path = write_timed(tmp_path / "cut.mkv", pictures=pictures, sounds=[(0, 300)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    clip = encode_clip(path, MeanColour(**spec), Level())
    assert (clip.status, clip.tokens) == ("damaged", {})
    assert "picture truncated" in clip.reason
    assert "sound truncated" in clip.reason


def test_of_many_remarks_the_one_on_missing_time_is_kept() -> None:
    gathered = Gathered(Path("a.mp4"), {"audio": Level()})
    sound = {8_000: Waveform(np.ones(8_000, np.float32), 8_000)}
    for minute in range(8):
        remark = f"sound damaged: at {minute} min"
        gathered.add(Clip("a.mp4", audio=sound, start=60.0 * minute, warnings=(remark,)))
    gathered.add(Clip("a.mp4", truncated=True, warnings=("sound truncated: 8 min of 20 min",)))
    clip = gathered.result(use_damaged=False)
    assert (clip.status, clip.tokens) == ("damaged", {})
    assert clip.reason.startswith("sound truncated: 8 min of 20 min; sound damaged: at 0 min; ")


def test_a_long_recording_is_encoded_in_windows(tmp_path: Path) -> None:
    rate = 8_000
    loud = np.concatenate([sine(300, 100, rate, 0.1), sine(300, 100, rate, 0.8)])
    path = write_wav(tmp_path / "long.wav", loud[None], rate)
    clip = encode_clip(path, None, Level())
    assert clip.audio is not None
    assert clip.audio.times.tolist() == [30, 90, 150, 190]
    quiet, middle, high = (a / np.sqrt(2) for a in (0.1, np.sqrt((0.01 * 2 + 0.64) / 3), 0.8))
    assert clip.audio.values[:, 0] == pytest.approx([quiet, middle, high, high], rel=0.01)
    assert clip.duration == pytest.approx(200)
