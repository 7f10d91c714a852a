"""Videos to a store: what is there, what is missing, what a second call does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
import torch

from ezav.cli.extract import show_report
from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.extraction import EncoderSpec, ExtractionReport, Progress, encode_clip, extract
from ezav.extraction.listing import list_videos
from ezav.extraction.parts import Shard
from ezav.extraction.pool import WorkerPool
from ezav.extraction.process import Worker
from ezav.extraction.report import Begun
from ezav.features import FeatureStore, StoreWriter
from ezav.features.unread import remarks_of
from tests.extraction.conftest import CLASSES
from tests.extraction.encoders import HERE, LIGHT, Level, MeanColour, OnDevice
from tests.media.files import write_clip


def light(videos: Path, out: Path, **more: Any) -> ExtractionReport:
    return extract(videos, out, **{**LIGHT, "workers": 1, **more})


def test_the_store_holds_what_the_encoders_say(videos: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    report = light(videos, tmp_path / "s", workers=2, on_progress=told.append)
    assert (report.listed, report.added, report.earlier, report.readable) == (30, 30, 0, 30)
    assert [(state.done, state.total) for state in told] == [(n, 30) for n in range(1, 31)]
    store = FeatureStore.open(tmp_path / "s")
    assert store.classes == ("bell", "cat", "dog", "rain", "sea waves")
    features = store.select()
    assert len(features) == 30
    for row, clip in enumerate(features.clips):
        alone = encode_clip(videos / clip, MeanColour(), Level())
        assert alone.visual is not None
        assert alone.audio is not None
        assert store.classes[int(features.labels[row])] == clip.split("/")[0]
        for modality, expected in ((features.visual, alone.visual), (features.audio, alone.audio)):
            tokens = modality.gather(torch.tensor([row]))
            assert np.array_equal(tokens.values[0].numpy(), expected.values)
            assert np.array_equal(tokens.times[0].numpy(), expected.times)
    text = store.class_embeddings()
    assert text.names == store.classes
    assert text.encoder == f"{HERE}:HashText@1"
    assert sum(clips for _, clips in report.splits.values()) == 30


def test_who_could_not_be_read_is_gathered_once_and_not_for_each_clip(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather, times = StoreWriter.failed.fget, []
    assert gather is not None

    def gathered(writer: StoreWriter) -> dict[str, str]:
        times.append(writer)
        return gather(writer)

    monkeypatch.setattr(StoreWriter, "failed", property(gathered))
    assert light(videos, tmp_path / "s").listed == 30
    assert len(times) <= 3


def test_a_second_call_does_only_what_is_missing(
    own_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = light(own_videos, tmp_path / "s")
    again = light(own_videos, tmp_path / "s")
    assert (again.added, again.earlier, again.fingerprint) == (0, 30, first.fingerprint)
    write_clip(own_videos / "dog" / "new.mp4", frames=2, tone=None)
    begun: list[Worker] = []
    begin = WorkerPool._worker

    def told(pool: WorkerPool) -> Worker:
        begun.append(begin(pool))
        return begun[-1]

    monkeypatch.setattr(WorkerPool, "_worker", told)
    more = light(own_videos, tmp_path / "s", workers=5)
    assert (more.added, more.earlier, more.no_audio) == (1, 30, 1)
    assert len(begun) == 1, "no more workers than clips"
    (own_videos / "dog" / "new.mp4").unlink()
    fewer = light(own_videos, tmp_path / "s")
    assert (fewer.added, fewer.gone, fewer.fingerprint) == (0, 1, first.fingerprint)


def test_missing_is_missing_and_bad_files_are_listed(own_videos: Path, tmp_path: Path) -> None:
    write_clip(own_videos / "dog" / "silent.mp4", frames=3, tone=None)
    (own_videos / "dog" / "empty.mp4").touch()
    (own_videos / "cat" / "folder.mp4").mkdir()
    (own_videos / "cat" / "broken.mp4").symlink_to("gone")
    (own_videos / "cat" / "text.mp4").write_text("not a video\n" * 50)
    report = light(own_videos, tmp_path / "s")
    assert {(f.clip, f.status, f.reason) for f in report.failures} == {
        ("dog/empty.mp4", "unreadable", "empty file"),
        ("cat/folder.mp4", "unreadable", "a folder, not a file"),
        ("cat/broken.mp4", "unreadable", "broken link"),
        ("cat/text.mp4", "unreadable", "not a media file"),
    }
    assert (report.readable, report.no_audio, report.no_visual) == (31, 1, 0)
    assert report.notes == {"dog/silent.mp4": "no audio stream"}
    features = FeatureStore.open(tmp_path / "s").select()
    row = features.clips.index("dog/silent.mp4")
    assert features.audio.lengths[row] == 0
    assert features.visual.lengths[row] == 2
    assert len(features) == 31
    # A file of another size is read; the others when asked to.
    write_clip(own_videos / "dog" / "mended.mp4", frames=3).replace(
        own_videos / "dog" / "empty.mp4"
    )
    mended = light(own_videos, tmp_path / "s")
    assert (mended.added, mended.readable, len(mended.failures)) == (1, 32, 3)
    retried = light(own_videos, tmp_path / "s", retry=True)
    assert (retried.added, retried.readable, len(retried.failures)) == (3, 32, 3)


def test_a_cut_clip_is_used_only_when_asked(own_videos: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "w.mp4", frames=40, faststart=True, options={"g": "5"})
    data = whole.read_bytes()
    (own_videos / "dog" / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    (failure,) = light(own_videos, tmp_path / "s").failures
    assert (failure.clip, failure.status) == ("dog/cut.mp4", "damaged")
    assert "truncated" in failure.reason
    used = light(own_videos, tmp_path / "used", use_damaged=True)
    assert used.failures == ()
    assert "truncated" in used.notes["dog/cut.mp4"]
    # Asked for later, what was left out is done; what is in stays in.
    for use_damaged, added in ((True, 1), (True, 0), (False, 0)):
        later = light(own_videos, tmp_path / "s", use_damaged=use_damaged)
        assert (later.added, later.failures) == (added, ())
        assert later.fingerprint == used.fingerprint


def test_another_encoder_or_split_needs_another_store(videos: Path, tmp_path: Path) -> None:
    light(videos, tmp_path / "s")
    before = FeatureStore.open(tmp_path / "s").fingerprint
    with pytest.raises(EzavError, match=r"another encoder.*statistics"):
        light(videos, tmp_path / "s", visual="statistics")
    with pytest.raises(EzavError, match=r"begun with other splits: drawn, seed 0 there, .* seed 1"):
        light(videos, tmp_path / "s", seed=1)
    with pytest.raises(EzavError, match=r"other splits: .*unseen: dog"):
        light(videos, tmp_path / "s", unseen=["dog"])
    assert FeatureStore.open(tmp_path / "s").fingerprint == before


def test_splits(videos: Path, tmp_path: Path) -> None:
    light(videos, tmp_path / "named", unseen=["rain"])
    named = FeatureStore.open(tmp_path / "named")
    assert named.split_classes("test_unseen") == ("rain",)
    with pytest.raises(EzavError, match="no clip has the unseen class 'rian'"):
        light(videos, tmp_path / "wrong", unseen=["rian"])
    assert not (tmp_path / "wrong").exists()

    def split_of(class_name: str, take: int) -> str:
        if class_name in {"rain", "bell"}:
            return "test_unseen" if class_name == "rain" else "val_unseen"
        return ("train", "train", "train", "val_seen", "test_seen", "test_seen")[take]

    rows = [
        ",".join((f"{name}/{take}.mp4", name, split_of(name, take)))
        for name in CLASSES
        for take in range(6)
    ]
    manifest = videos / "manifest.csv"
    manifest.write_text("\n".join(["path,class,split", *rows]) + "\n")
    try:
        report = light(manifest, tmp_path / "given")
        with pytest.raises(EzavError, match="split for every clip, and unseen classes"):
            light(manifest, tmp_path / "both", unseen=["rain"])
    finally:
        manifest.unlink()
    assert report.splits == {
        "train": (3, 9),
        "val_seen": (3, 3),
        "val_unseen": (1, 6),
        "test_seen": (3, 6),
        "test_unseen": (1, 6),
    }
    origin = FeatureStore.open(tmp_path / "given").header.splits
    assert origin is not None
    assert (origin.how, origin.detail) == ("manifest", "manifest.csv")


def test_a_manifest_that_changes_a_class_is_refused(own_videos: Path, tmp_path: Path) -> None:
    manifest = own_videos / "m.csv"
    rows = [f"{c.relative_to(own_videos)},{c.parent.name}" for c in own_videos.glob("*/*.mp4")]
    manifest.write_text("\n".join(["path,class", *rows]))
    light(manifest, tmp_path / "s")
    manifest.write_text(manifest.read_text().replace("dog/3.mp4,dog", "dog/3.mp4,cat"))
    with pytest.raises(EzavError, match=r"'dog/3.mp4' is of class 'dog' in the store .* 'cat' now"):
        light(manifest, tmp_path / "s")


def stop(progress: Progress) -> None:
    """What an interrupt does, at the tenth clip."""
    if progress.done == 10:
        raise KeyboardInterrupt


def test_a_class_corrected_after_an_interrupt_is_refused(own_videos: Path, tmp_path: Path) -> None:
    """Nothing is published yet; the clips in the journal bear the wrong class."""
    manifest = own_videos / "m.csv"
    clips = sorted(c.relative_to(own_videos) for c in own_videos.glob("*/*.mp4"))
    right = "\n".join(["path,class", *(f"{c},{c.parent}" for c in clips)])
    manifest.write_text(right.replace("cat/0.mp4,cat", "cat/0.mp4,dog"))
    with pytest.raises(KeyboardInterrupt):
        light(manifest, tmp_path / "s", unseen=["rain"], on_progress=stop)
    manifest.write_text(right)
    with pytest.raises(EzavError, match=r"'cat/0.mp4' is of class 'dog' in the store .* 'cat'"):
        light(manifest, tmp_path / "s", unseen=["rain"])
    assert light(manifest, tmp_path / "t", unseen=["rain"]).readable == 30


def test_a_corrected_class_of_an_unreadable_clip_is_taken_over(
    own_videos: Path, tmp_path: Path
) -> None:
    (own_videos / "dog" / "empty.mp4").touch()
    manifest = own_videos / "m.csv"
    clips = sorted(c.relative_to(own_videos) for c in own_videos.glob("*/*.mp4"))
    right = "\n".join(["path,class", *(f"{c},{c.parent}" for c in clips)])
    manifest.write_text(right.replace("dog/empty.mp4,dog", "dog/empty.mp4,cat"))
    light(manifest, tmp_path / "s")
    manifest.write_text(right)
    assert light(manifest, tmp_path / "s").added == 1
    index = FeatureStore.open(tmp_path / "s").index
    classes = dict(zip(index.column("clip").to_pylist(), index.column("class").to_pylist()))
    assert classes["dog/empty.mp4"] == "dog"


def test_nothing_readable_is_an_error(videos: Path, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / "bad" / name).mkdir(parents=True)
        for take in range(3):
            (tmp_path / "bad" / name / f"{take}.mp4").touch()
    with pytest.raises(EzavError, match=r"none of 12 clips could be read: empty file .*'a/0.mp4'"):
        light(tmp_path / "bad", tmp_path / "s")
    with pytest.raises(EzavError, match="not finished"):
        FeatureStore.open(tmp_path / "s")


def test_encoders_on_a_device_give_the_same_store(videos: Path, tmp_path: Path) -> None:
    there = light(videos, tmp_path / "there", visual=f"{HERE}:OnDevice")
    OnDevice.batches.clear()
    here = light(videos, tmp_path / "here", visual=f"{HERE}:OnDevice", device="cuda")
    assert max(OnDevice.batches) > 1
    assert here.fingerprint == there.fingerprint
    # The device does not change what a store is; other options do.
    assert light(videos, tmp_path / "here", visual=f"{HERE}:OnDevice").added == 0
    slower = EncoderSpec(f"{HERE}:MeanColour", {"pause": 0.001})
    light(videos, tmp_path / "slower", visual=slower)
    with pytest.raises(EzavError, match=r"another setting: 'main \(visual pause=0.001\)' there"):
        light(videos, tmp_path / "slower")


def test_an_encoder_that_never_works_is_not_the_clips_fault(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(EzavError, match=r"an encoder does not work: .*AttributeError: no weights"):
        light(videos, tmp_path / "s", visual=f"{HERE}:Broken")
    assert light(videos, tmp_path / "s").added == 30


def _stop(state: Progress) -> None:
    raise KeyboardInterrupt


def test_files_that_were_replaced_are_told_and_broken_ones_done_again(
    own_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = own_videos / "dog" / "1.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:99])
    before = light(own_videos, tmp_path / "s")
    assert (before.readable, before.replaced) == (29, ())
    copyfile(own_videos / "cat" / "5.mp4", own_videos / "dog" / "2.mp4")
    broken.write_bytes(whole)  # downloaded again, and whole now
    with pytest.raises(KeyboardInterrupt):  # once it is in the store
        light(own_videos, tmp_path / "s", on_progress=_stop)
    (own_videos / "dog" / "3.mp4").touch()
    for _ in range(2):
        report = light(own_videos, tmp_path / "s")
        assert (report.added, report.readable, report.replaced) == (0, 30, ("dog/2.mp4",))
    show_report(report)
    assert "another file than the one that was read: dog/2.mp4; " in capsys.readouterr().out
    # A store that does not know the sizes opens, and knows them from then on.
    (tmp_path / "s" / "sizes.json").unlink()
    assert light(own_videos, tmp_path / "s").replaced == ()
    copyfile(own_videos / "cat" / "4.mp4", own_videos / "dog" / "2.mp4")
    assert light(own_videos, tmp_path / "s").replaced == ("dog/2.mp4",)
    for damaged in ("[1", "[1, 2]", '{"dog/2.mp4": 3}'):
        (tmp_path / "s" / "sizes.json").write_text(damaged)
        with pytest.raises(EzavError, match=r"sizes\.json' is damaged; delete it"):
            light(own_videos, tmp_path / "s")


def test_clips_without_sound_do_not_prove_the_audio_encoder(
    own_videos: Path, tmp_path: Path
) -> None:
    for name in ("bell", "cat", "dog"):
        for take in range(3):
            write_clip(own_videos / name / f"{take}.mp4", frames=4, tone=None)
    for _ in range(2):  # the silent ones are in the store then, and prove no more
        with pytest.raises(EzavError, match=r"does not work: .*no weights.*choose another"):
            light(own_videos, tmp_path / "s", audio=f"{HERE}:Deaf")


def test_an_encoder_that_works_no_more_is_not_the_clips_fault(
    own_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = light(own_videos, tmp_path / "s", visual=f"{HERE}:Fragile")
    for take in range(6):
        copyfile(own_videos / "cat" / "0.mp4", own_videos / "dog" / f"more {take}.mp4")
    monkeypatch.setenv("EZAV_TEST_DEVICE", "gone")
    with pytest.raises(EzavError, match=r"an encoder does not work: .*no such device"):
        light(own_videos, tmp_path / "s", visual=f"{HERE}:Fragile")
    assert FeatureStore.open(tmp_path / "s").fingerprint == before.fingerprint
    monkeypatch.delenv("EZAV_TEST_DEVICE")
    after = light(own_videos, tmp_path / "s", visual=f"{HERE}:Fragile")
    assert (after.added, after.earlier, after.readable, after.failures) == (6, 30, 36, ())


def test_one_clip_that_an_encoder_cannot_take_does_not_close_a_store(
    own_videos: Path, tmp_path: Path
) -> None:
    light(own_videos, tmp_path / "s", visual=f"{HERE}:Hostile")
    write_clip(own_videos / "dog" / "odd.mp4", frames=2, size=(32, 6), tone=None)
    report = light(own_videos, tmp_path / "s", visual=f"{HERE}:Hostile")
    ((clip, status, reason),) = [(f.clip, f.status, f.reason) for f in report.failures]
    assert (clip, status) == ("dog/odd.mp4", "unreadable")
    assert "a surprise in two lines" in reason
    assert report.readable == 30


def test_clips_that_an_encoder_never_took_do_not_stop_a_retry(
    own_videos: Path, tmp_path: Path
) -> None:
    light(own_videos, tmp_path / "s", visual=f"{HERE}:Hostile")
    for number in range(3):  # one in each call; the first of the listing
        odd = own_videos / "bell" / f"0 odd {number}.mp4"
        write_clip(odd, frames=2, size=(32, 6), tone=None)
        light(own_videos, tmp_path / "s", visual=f"{HERE}:Hostile")
    copyfile(own_videos / "cat" / "0.mp4", own_videos / "rain" / "more.mp4")
    report = light(own_videos, tmp_path / "s", visual=f"{HERE}:Hostile", retry=True)
    assert (report.readable, len(report.failures)) == (31, 3)


def test_splits_are_drawn_again_when_broken_clips_leave_no_benchmark(
    own_videos: Path, tmp_path: Path
) -> None:
    for take in range(1, 5):
        for clip in own_videos.glob(f"*/{take}.mp4"):
            if clip.parent.name in {"dog", "cat", "bell"}:
                clip.write_bytes(b"")
    report = light(own_videos, tmp_path / "s", unseen=["rain"])
    assert (report.readable, len(report.failures)) == (18, 12)
    assert sum(clips for _, clips in report.splits.values()) == 18
    assert light(own_videos, tmp_path / "s", unseen=["rain"]).fingerprint == report.fingerprint


def test_shards_together_are_the_whole(videos: Path, tmp_path: Path) -> None:
    whole = light(videos, tmp_path / "whole")
    parts = [light(videos, tmp_path / "s", shard=f"{number}/3") for number in (1, 2, 3)]
    assert sum(part.listed for part in parts) == sum(part.added for part in parts) == 30
    joined = light(videos, tmp_path / "s")
    assert (joined.added, joined.earlier) == (0, 30)
    assert joined.fingerprint == whole.fingerprint
    assert joined.splits == whole.splits
    assert light(videos, tmp_path / "s").fingerprint == whole.fingerprint
    # A part that was never run is made up for.
    made = light(videos, tmp_path / "t", shard="2/3").added
    assert light(videos, tmp_path / "t").added == 30 - made
    assert FeatureStore.open(tmp_path / "t").fingerprint == whole.fingerprint


def test_parts_go_on_with_a_new_and_a_mended_clip(own_videos: Path, tmp_path: Path) -> None:
    broken = own_videos / "dog" / "3.mp4"
    data = broken.read_bytes()
    broken.write_bytes(b"")
    shards = ("1/2", "2/2")
    for shard in shards:
        light(own_videos, tmp_path / "s", shard=shard)
    assert len(light(own_videos, tmp_path / "s").failures) == 1
    write_clip(own_videos / "bell" / "0 new.mp4", frames=4, rate=8_000)
    again = [light(own_videos, tmp_path / "s", shard=shard) for shard in shards]
    assert sorted(part.added for part in again) == [0, 1]
    assert [part.gone for part in again] == [0, 0]
    assert light(own_videos, tmp_path / "s").readable == 30
    broken.write_bytes(data)
    for shard in shards:
        light(own_videos, tmp_path / "s", shard=shard, retry=True)
    whole = light(own_videos, tmp_path / "s")
    assert (whole.added, whole.readable, whole.failures) == (0, 31, ())
    assert whole.replaced == ()
    assert whole.fingerprint == light(own_videos, tmp_path / "at once").fingerprint


def test_an_array_may_have_more_parts_than_clips(own_videos: Path, tmp_path: Path) -> None:
    for clip in own_videos.glob("*/[3-5].mp4"):
        clip.unlink()
    parts = [light(own_videos, tmp_path / "s", shard=f"{number}/16") for number in range(1, 17)]
    assert sum(part.added for part in parts) == 15
    idle = [part for part in parts if part.note]
    assert idle
    for part in idle:
        number = part.store.name.split("-")[0]
        assert part.note == f"shard {number}/16 has no clips: nothing to do"
        assert not part.store.exists()
        assert (part.to_dict()["note"], part.listed, part.fingerprint) == (part.note, 0, "")
    joined = light(own_videos, tmp_path / "s")
    assert (joined.added, joined.earlier) == (0, 15)
    assert joined.fingerprint == light(own_videos, tmp_path / "whole").fingerprint


def test_parts_whose_clips_are_gone_can_be_joined(own_videos: Path, tmp_path: Path) -> None:
    listing = list_videos(own_videos)
    alone = next(  # a part of one clip
        (shard, items[0])
        for number in range(1, 49)
        if len(items := (shard := Shard(number, 48)).of(listing.items)) == 1
    )
    shard, item = alone
    begun = shard.folder(tmp_path / "s")
    begun.mkdir(parents=True)  # and an interrupted one
    item.path.unlink()
    assert light(own_videos, tmp_path / "s", shard=f"{shard.number}/48").note
    made = light(own_videos, tmp_path / "s", shard="1/2").added
    joined = light(own_videos, tmp_path / "s")
    assert (joined.readable, joined.added) == (29, 29 - made)


def test_a_part_of_which_only_unreadable_clips_are_left_is_passed_over(
    own_videos: Path, tmp_path: Path
) -> None:
    listing = list_videos(own_videos)
    shard, (kept, broken) = next(
        (shard, items)
        for number in range(1, 33)
        if len(items := (shard := Shard(number, 32)).of(listing.items)) == 2
    )
    broken.path.write_bytes(b"")
    light(own_videos, tmp_path / "s", shard=f"{shard.number}/32")
    kept.path.unlink()
    joined = light(own_videos, tmp_path / "s")
    assert (joined.readable, [f.clip for f in joined.failures]) == (28, [broken.clip])


def test_a_part_of_which_no_clip_can_be_read_is_passed_over(
    own_videos: Path, tmp_path: Path
) -> None:
    listing = list_videos(own_videos)
    shard, (broken,) = next(
        (shard, items)
        for number in range(1, 49)
        if len(items := (shard := Shard(number, 48)).of(listing.items)) == 1
    )
    data = broken.path.read_bytes()
    broken.path.write_bytes(b"")
    with pytest.raises(EzavError, match="none of 1 clips could be read"):
        light(own_videos, tmp_path / "s", shard=f"{shard.number}/48")
    joined = light(own_videos, tmp_path / "s")
    assert (joined.readable, [f.clip for f in joined.failures]) == (29, [broken.clip])
    # One that was interrupted is not.
    broken.path.write_bytes(data)
    with pytest.raises(KeyboardInterrupt):
        light(own_videos, tmp_path / "t", shard="1/2", on_progress=stop)
    with pytest.raises(EzavError, match='is not finished; run it again with `shard="1/2"`'):
        light(own_videos, tmp_path / "t")


def test_parts_are_joined_again_when_a_clip_went_and_another_came(
    own_videos: Path, tmp_path: Path
) -> None:
    shards = ("1/2", "2/2")
    for shard in shards:
        light(own_videos, tmp_path / "s", shard=shard)
    assert light(own_videos, tmp_path / "s").readable == 30
    (own_videos / "dog" / "4.mp4").rename(own_videos / "dog" / "9.mp4")
    again = [light(own_videos, tmp_path / "s", shard=shard) for shard in shards]
    assert (sum(part.added for part in again), sum(part.gone for part in again)) == (1, 1)
    joined = light(own_videos, tmp_path / "s")
    assert (joined.added, joined.gone, joined.readable) == (0, 1, 30)
    assert joined.fingerprint == light(own_videos, tmp_path / "at once").fingerprint


def test_parts_of_another_number_hide_nothing(videos: Path, tmp_path: Path) -> None:
    first = light(videos, tmp_path / "s", shard="1/2")
    (tmp_path / "s.parts" / "1-of-2").rename(tmp_path / "s.parts" / "1-of-3")
    part = light(videos, tmp_path / "s", shard="1/3")
    assert part.gone == 0
    assert part.readable == first.added + part.added


def test_a_part_with_another_class_is_refused(own_videos: Path, tmp_path: Path) -> None:
    manifest = own_videos / "m.csv"
    clips = sorted(c.relative_to(own_videos) for c in own_videos.glob("*/*.mp4"))
    right = "\n".join(["path,class", *(f"{c},{c.parent}" for c in clips)])
    manifest.write_text(right.replace("dog/3.mp4,dog", "dog/3.mp4,cat"))
    for shard in ("1/2", "2/2"):
        light(manifest, tmp_path / "s", shard=shard)
    manifest.write_text(right)
    with pytest.raises(EzavError, match=r"'dog/3.mp4' is of class 'cat' in the store .*-of-2'"):
        light(manifest, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_store_whose_path_is_not_in_utf8_is_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(EzavError, match=r"path of the store '.*caf\\xe9' is not in UTF-8"):
        light(videos, tmp_path / os.fsdecode(b"caf\xe9"))


def test_a_store_in_the_current_folder(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s").mkdir()
    monkeypatch.chdir(tmp_path / "s")
    assert light(videos, Path(), shard="1/2").store == tmp_path / "s.parts" / "1-of-2"
    assert light(videos, Path()).readable == 30


def test_the_command(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoders = [part for kind, name in LIGHT.items() for part in (f"--{kind}", name)]
    out = str(tmp_path / "s")
    assert main(["extract", str(videos), "--out", out, "--json", *encoders]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["added"], result["readable"], result["failures"]) == (30, 30, [])
    assert main(["extract", str(videos), "--out", out, *encoders]) == 0
    shown = capsys.readouterr()
    assert "nothing to do: all 30 clips are there already" in shown.out
    assert "test_unseen" in shown.out
    assert main(["extract", str(tmp_path / "none"), "--out", out]) == 1
    assert "there is no folder or manifest" in capsys.readouterr().err


def test_what_is_set_apart_is_told_before_the_first_clip(videos: Path, tmp_path: Path) -> None:
    told: list[object] = []
    report = light(videos, tmp_path / "s", on_begin=told.append, on_progress=told.append)
    begun = told[0]
    assert isinstance(begun, Begun)
    store = FeatureStore.open(report.store)
    assert begun.unseen == store.split_classes("test_unseen")
    assert begun.validating == store.split_classes("val_unseen")
    assert begun.drawn
    assert begun.remarks == report.remarks == ()
    named = light(videos, tmp_path / "named", unseen=["bell"], on_begin=told.append)
    assert named.readable
    assert isinstance(told[-1], Begun)
    assert (told[-1].unseen, told[-1].drawn) == (("bell",), False)


def test_names_that_the_text_encoder_cannot_read_are_told(own_videos: Path, tmp_path: Path) -> None:
    (own_videos / "dog").rename(own_videos / "ឆ្កែ")
    (own_videos / "cat").rename(own_videos / "ឆ្មា")
    told: list[Begun] = []
    report = light(own_videos, tmp_path / "s", text="minilm", on_begin=told.append)
    assert told[0].remarks == report.remarks
    assert [line.split(":")[0] for line in report.remarks[:2]] == ["'ឆ្កែ'", "'ឆ្មា'"]
    assert "one vector" in report.remarks[2]
    text = FeatureStore.open(report.store).class_embeddings()
    assert remarks_of(text) == list(report.remarks)  # what later commands tell


def test_a_folder_of_files_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for take in range(4):
            (root / name / f"{take}.mp4").write_bytes(b"" if number == 0 else b"no recording")
    with pytest.raises(EzavError) as error:
        light(root, tmp_path / "s")
    told = str(error.value)
    assert (
        "none of 20 clips could be read: not a media file (16 clips, for example 'bell/0.mp4')"
        in told
    )
    assert "; empty file (4 clips, for example 'dog/0.mp4')" in told


def test_one_recording_is_no_collection(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(EzavError, match=r"is one recording.*'ezav predict'"):
        light(videos / "dog" / "0.mp4", tmp_path / "s")
