"""Kills, full disks and torn files: nothing lost, nothing twice, nothing half-written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ezav.errors import EzavError
from ezav.features import shards
from ezav.features.store import FeatureStore
from ezav.features.verify import verify_store
from ezav.features.writer import StoreWriter
from tests.features.small_store import HEADER, embeddings, make_clip, splits_of, write_store

ROOT = Path(__file__).parents[2]
COUNT, KILLS = 120, 25
STORM = """
import os, random, signal, sys, time
from tests.features.small_store import HEADER, embeddings, make_clip, splits_of, write_store
from ezav.features.writer import StoreWriter

store, log, count, kills = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
clips = [make_clip(number) for number in range(count)]

def write(most):
    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with StoreWriter(store, HEADER, shard_clips=7) as writer:
        for clip in clips:
            if clip["clip"] not in writer.done:
                writer.add(**clip)
                os.write(told, (clip["clip"] + " ").encode())
                most -= 1
                if not most:
                    signal.pause()  # it is killed here if not before
        writer.finish(splits_of(clips), [embeddings()])

write_store(log + ".warm-up")  # so that no child spends its short life on imports
open(log, "w").close()
draw, killed = random.Random(0), 0
for attempt in range(kills):
    more = draw.randrange(9)
    if (pid := os.fork()) == 0:
        write(more + 4)
        os._exit(0)
    # A random moment of its work, however busy the machine is: after some more clips.
    enough, ended = os.path.getsize(log) + 9 * more, 0
    while not ended and os.path.getsize(log) < enough:
        ended = os.waitpid(pid, os.WNOHANG)[0]
        time.sleep(0.0005)
    if not ended:
        time.sleep(draw.uniform(0, 0.01))
        os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
print(killed)
"""


def test_a_new_shard_is_not_read_in_place_of_a_deleted_one(tmp_path: Path) -> None:
    clips = write_store(tmp_path, 25, shard_clips=10)
    (tmp_path / "shards" / "00002.safetensors").unlink()
    before = FeatureStore.open(tmp_path)
    with StoreWriter(tmp_path, HEADER, shard_clips=2) as writer:
        assert len(writer.done) == 20
        for clip in clips[:19:-1]:  # in another order, and not to the end
            writer.add(**clip)
    with pytest.raises(EzavError, match=r"00002\.safetensors' is missing"):
        before.select()
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.finish(splits_of(clips), [embeddings()])
    write_store(tmp_path / "whole")
    whole = FeatureStore.open(tmp_path / "whole")
    assert FeatureStore.open(tmp_path).fingerprint == whole.fingerprint


def run(script: str, *arguments: object) -> str:
    """Run a script in another process; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return done.stdout.strip()


def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    """Writers are killed until one gets through: the store is the one of a calm writer."""
    clips = write_store(tmp_path / "calm", COUNT)
    store, log = tmp_path / "stormy", tmp_path / "log"
    killed = int(run(STORM, store, log, COUNT, KILLS))
    told = log.read_text().split()
    assert killed > 3
    assert told, "the kills came too early to matter"
    assert len(told) == len(set(told)), "a clip was written twice"
    with StoreWriter(store, HEADER, shard_clips=7) as writer:
        assert set(told) <= set(writer.done), "a clip was lost that add() had returned for"
        for clip in clips:
            if clip["clip"] not in writer.done:
                writer.add(**clip)
        writer.finish(splits_of(clips), [embeddings()])
    calm, stormy = FeatureStore.open(tmp_path / "calm"), FeatureStore.open(store)
    assert stormy.fingerprint == calm.fingerprint
    assert verify_store(store).problems == ()
    assert {path.name for path in (store / "shards").iterdir()} == set(stormy.contents.shards)
    assert not list(store.rglob("*.part"))


@pytest.mark.parametrize("cut", [1, 10, 60, 500])
def test_a_torn_journal_costs_only_the_torn_clips(tmp_path: Path, cut: int) -> None:
    clips = [make_clip(number) for number in range(10)]
    with StoreWriter(tmp_path, HEADER) as writer:
        sizes = []
        for clip in clips:
            writer.add(**clip)
            sizes.append((tmp_path / "shards" / "00000.journal").stat().st_size)
    journal = tmp_path / "shards" / "00000.journal"
    os.truncate(journal, sizes[-1] - cut)
    whole = {clip["clip"] for clip, size in zip(clips, sizes) if size <= sizes[-1] - cut}
    with StoreWriter(tmp_path, HEADER) as writer:
        assert set(writer.done) == whole
        for clip in clips:
            if clip["clip"] not in writer.done:
                writer.add(**clip)
        assert len(writer.done) == len(clips)


def test_a_flipped_bit_in_the_journal_is_not_believed(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, HEADER) as writer:
        for number in range(3):
            writer.add(**make_clip(number))
    journal = tmp_path / "shards" / "00000.journal"
    content = bytearray(journal.read_bytes())
    content[-5] ^= 1
    journal.write_bytes(content)
    with StoreWriter(tmp_path, HEADER) as writer:
        assert set(writer.done) == {"clip0000", "clip0001"}


def test_a_journal_left_beside_its_shard_is_dropped(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, HEADER, shard_clips=3) as writer:
        for number in range(2):
            writer.add(**make_clip(number))
        before = (tmp_path / "shards" / "00000.journal").read_bytes()
        writer.add(**make_clip(2))
    # As if killed after the shard appeared and before its journal went.
    (tmp_path / "shards" / "00000.journal").write_bytes(before)
    with StoreWriter(tmp_path, HEADER, shard_clips=3) as writer:
        assert len(writer.done) == 3
        assert not (tmp_path / "shards" / "00000.journal").exists()


def test_a_full_disk_while_a_clip_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.add(**make_clip(0))
        size = (tmp_path / "shards" / "00000.journal").stat().st_size
        real = os.write

        def full(handle: int, data: bytes) -> int:
            if len(data) > 40:
                return real(handle, data[:40])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(EzavError, match=r"clip0001.*No space left.*free some space"):
                writer.add(**make_clip(1))
        assert (tmp_path / "shards" / "00000.journal").stat().st_size == size
        assert set(writer.done) == {"clip0000"}
        writer.add(**make_clip(1))
        assert set(writer.done) == {"clip0000", "clip0001"}


@pytest.mark.parametrize("victim", ["shard", "index", "classes"])
def test_a_full_disk_while_the_store_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    clips = [make_clip(number) for number in range(25)]

    def full(*args: object, **settings: object) -> None:
        Path(str(args[0 if victim == "shard" else 1])).write_bytes(b"the first part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    where = {
        "shard": "ezav.features.shards.write_safetensors",
        "index": "ezav.features.index.pq.write_table",
        "classes": "safetensors.torch.save_file",
    }
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in clips:
            writer.add(**clip)
        if victim == "classes":
            writer._log.seal()
        with monkeypatch.context() as patch:
            patch.setattr(where[victim], full)
            with pytest.raises(EzavError, match="No space left"):
                writer.finish(splits_of(clips), [embeddings()])
        assert not (tmp_path / "index.parquet").exists()
        assert not list(tmp_path.rglob("*.part"))
        writer.finish(splits_of(clips), [embeddings()])
    assert verify_store(tmp_path).sound


def test_a_limit_of_the_system_is_told_in_one_line(tmp_path: Path) -> None:
    """A real failing write: the system refuses files above 64 KiB."""
    script = """
import resource, signal, sys, torch
from tests.features.small_store import HEADER, AUDIO
from ezav.errors import EzavError
from ezav.features.writer import StoreWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
audio = (torch.ones(1000, AUDIO), torch.zeros(1000))
with StoreWriter(sys.argv[1], HEADER) as writer:
    try:
        for number in range(100):
            writer.add(clip=str(number), class_name="x", audio=audio, visual=None)
    except EzavError as error:
        print(len(writer.done), error)
"""
    count, message = run(script, tmp_path).split(" ", 1)
    assert "File too large" in message
    assert int(count) > 0
    with StoreWriter(tmp_path, HEADER) as writer:
        assert len(writer.done) == int(count)


def test_readers_see_the_old_store_until_the_new_one_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = write_store(tmp_path)
    before = FeatureStore.open(tmp_path)
    more = [make_clip(number) for number in range(25, 30)]
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in more:
            writer.add(**clip)
        during = FeatureStore.open(tmp_path)
        assert during.fingerprint == before.fingerprint
        assert len(during.select()) == 25
        with monkeypatch.context() as patch:  # killed just before the index is replaced
            patch.delattr("ezav.features.publish.write_index")
            with pytest.raises(NameError):
                writer.finish(splits_of(clips + more), [embeddings(9)])
        assert during.class_embeddings().vectors.equal(embeddings().vectors)
        assert verify_store(tmp_path).sound
        writer.finish(splits_of(clips + more), [embeddings(9)])
    after = FeatureStore.open(tmp_path)
    assert len(after.select()) == 30
    assert after.class_embeddings().vectors.equal(embeddings(9).vectors)
    assert [file.name for file in (tmp_path / "classes").iterdir()] == [
        after.contents.class_files[0].file
    ]


def test_an_unreadable_clip_may_be_tried_again(tmp_path: Path) -> None:
    clip = make_clip(1)
    failed = {**clip, "audio": None, "visual": None, "status": "unreadable", "reason": "network"}
    with StoreWriter(tmp_path, HEADER, shard_clips=1) as writer:
        writer.add(**failed)
        writer.add(**clip)
        assert writer.failed == {}
    with StoreWriter(tmp_path, HEADER) as writer:
        assert writer.failed == {}
        writer.finish({"clip0001": "train"}, [], whole=False)
    store = FeatureStore.open(tmp_path)
    assert store.select().clips == ("clip0001",)
    assert verify_store(tmp_path).sound


def test_a_deleted_shard_costs_only_its_own_clips(tmp_path: Path) -> None:
    """A damaged shard is to be deleted, as its error says; what comes after it is kept."""
    clips = write_store(tmp_path, shard_clips=4)
    before = FeatureStore.open(tmp_path)
    more = [make_clip(number) for number in range(25, 28)]
    with StoreWriter(tmp_path, HEADER, shard_clips=4) as writer:
        for clip in more:
            writer.add(**clip)
    gone = {record.clip for record in shards.read_records(before.shard_path(1))}
    before.shard_path(1).unlink()
    with StoreWriter(tmp_path, HEADER, shard_clips=4) as writer:
        missing = [clip for clip in clips + more if clip["clip"] not in writer.done]
        assert {clip["clip"] for clip in missing} == gone
        for clip in missing:
            writer.add(**clip)
        writer.finish(splits_of(clips + more), [embeddings()])
    write_store(tmp_path / "calm", 28)
    calm, mended = FeatureStore.open(tmp_path / "calm"), FeatureStore.open(tmp_path)
    assert mended.fingerprint == calm.fingerprint
    assert mended.select().visual.values.equal(calm.select().visual.values)
    assert verify_store(tmp_path).sound


def test_a_half_written_shard_is_no_clip(tmp_path: Path) -> None:
    """Nothing was added before the kill, so another header may begin the store."""
    with StoreWriter(tmp_path, HEADER):
        pass
    (tmp_path / "shards" / ".00000.safetensors.part").write_bytes(b"half of")
    with StoreWriter(tmp_path, HEADER.model_copy(update={"dataset": "other"})) as writer:
        assert not writer.done
    assert not list(tmp_path.rglob("*.part"))


def test_clips_left_out_are_no_longer_shown(tmp_path: Path) -> None:
    clips = [make_clip(number) for number in range(25)]
    with StoreWriter(tmp_path, HEADER) as writer:
        for clip in clips:
            writer.add(**clip)
        kept = splits_of(clips[:20])
        writer.finish(kept, [embeddings()], leave_out=[c["clip"] for c in clips[20:]])
    assert set(FeatureStore.open(tmp_path).select().clips) == set(kept)
    assert verify_store(tmp_path).sound


def test_what_is_left_out_is_gone_through_once(tmp_path: Path) -> None:
    """Not once for every clip of the store, which takes minutes for a hundred thousand."""

    class Counted(list[str]):
        times = 0

        def __iter__(self) -> Iterator[str]:
            self.times += 1
            return super().__iter__()

    left_out = Counted(["clip0001"])
    with StoreWriter(tmp_path, HEADER) as writer:
        for number in range(4):
            writer.add(**make_clip(number))
        splits = {f"clip{number:04d}": "train" for number in (0, 2, 3)}
        writer.finish(splits, [embeddings()], leave_out=left_out, whole=False)
    assert left_out.times == 1


def test_shards_are_on_the_disk_before_their_journal_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(shards, "sync", lambda path: synced.append(path.name))
    with StoreWriter(tmp_path, HEADER, shard_clips=2) as writer:
        writer.add(**make_clip(0))
        assert not any("safetensors" in name for name in synced)
        writer.add(**make_clip(1))
        assert any("safetensors" in name for name in synced)
        assert not (tmp_path / "shards" / "00000.journal").exists()


def test_a_frame_that_claims_more_than_there_is_ends_the_journal(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.add(**make_clip(0))
    journal = tmp_path / "shards" / "00000.journal"
    with journal.open("ab") as file:
        file.write(b"clip" + b"\xff" * 12)
    with StoreWriter(tmp_path, HEADER) as writer:
        assert set(writer.done) == {"clip0000"}


def test_a_clip_of_no_class_of_the_store_is_told(tmp_path: Path) -> None:
    write_store(tmp_path)
    store = FeatureStore.open(tmp_path)
    contents = store.contents.model_copy(update={"classes": store.classes[1:]})
    with pytest.raises(EzavError, match=f"has clips of '{store.classes[0]}', which is none"):
        FeatureStore(tmp_path, contents).select()
