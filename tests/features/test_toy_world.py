"""The toy world: real media, unseen combinations of known parts, the same for the same seed."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
import pytest

from ezav.errors import EzavError
from ezav.features.splits import SPLITS, STAGE_1, STAGE_2, given_splits
from ezav.features.toy import ToyWorld, generate, generate_toy_world
from ezav.features.toy.design import SOUNDS, Parts, design_world, split_clips
from ezav.features.toy.picture import draw_frames
from ezav.features.toy.sound import make_sound
from ezav.safe_io import cache_folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ToyWorld:
    return generate_toy_world(tmp_path_factory.mktemp("toy"), classes=6, clips_per_class=3)


def rows_of(world: ToyWorld) -> list[dict[str, str]]:
    with world.manifest.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("classes", "seed"), [(32, 0), (32, 1), (24, 0), (48, 3), (6, 0), (9, 2)])
def test_unseen_classes_are_new_combinations_of_parts_seen_in_training(
    classes: int, seed: int
) -> None:
    design = design_world(classes, seed)
    assert len({parts.name for parts in design.classes}) == classes
    by_split: dict[str, set[Parts]] = defaultdict(set)
    for parts, _, split in split_clips(design, 24):
        by_split[split].add(parts)
    for stage in (STAGE_1, STAGE_2):
        trained = set().union(*(by_split[split] for split in stage.train))
        known = [{parts.values[i] for parts in trained} for i in range(4)]
        for split in stage.unseen:
            for parts in by_split[split]:
                assert parts not in trained
                assert all(value in known[i] for i, value in enumerate(parts.values))
                closest = min(
                    sum(a != b for a, b in zip(parts.values, other.values)) for other in trained
                )
                assert closest >= 2, "an unseen class differs from each known one in two parts"


def test_in_the_default_world_every_part_is_trained_on_in_several_classes() -> None:
    design = design_world(generate.CLASSES, 0)
    assert len(design.classes) >= 24
    assert generate.CLIPS_PER_CLASS >= 24
    for i in range(4):
        values = [parts.values[i] for parts in design.train]
        assert all(values.count(value) >= 3 for value in set(values))


def test_the_manifest_names_every_file_once_in_valid_splits(world: ToyWorld) -> None:
    rows = rows_of(world)
    files = {str(path.relative_to(world.folder)) for path in world.folder.rglob("*.mp4")}
    assert {row["path"] for row in rows} == files
    assert len(rows) == 6 * 3
    assert all(row["path"].startswith(row["class"] + "/") for row in rows)
    splits = given_splits(*([row[key] for row in rows] for key in ("path", "class", "split")))
    assert set(splits.values()) == set(SPLITS)
    unseen = {row["class"] for row in rows if row["split"] == "test_unseen"}
    assert tuple(sorted(unseen)) == world.unseen
    validation = {row["class"] for row in rows if row["split"] == "val_unseen"}
    assert tuple(sorted(validation)) == world.val_unseen
    assert tuple(sorted({row["class"] for row in rows})) == world.classes


def test_clips_are_real_h264_and_aac(world: ToyWorld) -> None:
    for row in rows_of(world)[::5]:
        with av.open(str(world.folder / row["path"])) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            assert picture.average_rate == 25
            assert sound.rate >= 16_000
            assert 96 <= picture.width <= 160
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            container.seek(0)
            wave = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        seconds = len(frames) / 25
        assert 2 <= seconds <= 3
        assert len(wave) / sound.rate == pytest.approx(seconds, abs=0.15)
        assert np.abs(np.diff(np.stack(frames).astype(float), axis=0)).mean() > 0.1
        assert np.sqrt(np.mean(wave**2)) > 1e-3


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.mp4"))
    }


def test_the_same_seed_gives_the_same_files_another_seed_others(
    world: ToyWorld, tmp_path: Path
) -> None:
    again = generate_toy_world(tmp_path / "a", classes=6, clips_per_class=3, workers=1)
    assert digest(again.folder) == digest(world.folder)
    other = design_world(6, seed=1)
    assert other != design_world(6, seed=0)
    first = world.classes[0]
    parts = next(p for p in design_world(6, 0).classes if p.name == first)
    generate.write_clip(tmp_path / "000.mp4", parts, seed=1)
    one = hashlib.sha256((tmp_path / "000.mp4").read_bytes()).hexdigest()
    assert one != digest(world.folder)[f"{first}/000.mp4"]


def test_a_finished_world_is_reused_a_broken_off_one_completed(tmp_path: Path) -> None:
    settings = {"classes": 6, "clips_per_class": 3}
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_toy_world(tmp_path, **settings, on_progress=stop)
    assert not (tmp_path / "manifest.csv").exists()
    assert not list(tmp_path.rglob("*.part"))
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert len(stamps) >= 5
    generate_toy_world(tmp_path, **settings, on_progress=lambda *step: told.append(step))
    assert told[-1] == (18, 18)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    told.clear()
    generate_toy_world(tmp_path, **settings, on_progress=lambda *step: told.append(step))
    assert told == []


def test_a_world_of_another_version_is_made_again(tmp_path: Path) -> None:
    settings = {"classes": 6, "clips_per_class": 3}
    world = generate_toy_world(tmp_path, **settings)
    before = digest(tmp_path)
    spec = json.loads((tmp_path / "toy.json").read_text())
    (tmp_path / "toy.json").write_text(json.dumps({**spec, "version": 0}))
    for path in tmp_path.rglob("*.mp4"):
        path.write_bytes(b"an older version's clip")
    assert generate_toy_world(tmp_path, **settings) == world
    assert digest(tmp_path) == before


def test_what_is_not_a_toy_world_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(EzavError, match="not empty and is no toy world"):
        generate_toy_world(tmp_path)
    with pytest.raises(EzavError, match="6 to 48 classes, not 5"):
        generate_toy_world(tmp_path / "new", classes=5)
    with pytest.raises(EzavError, match="3 clips a class, not 2"):
        generate_toy_world(tmp_path / "new", clips_per_class=2)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("way", ["up", "absolute", "link", "no list"])
def test_a_world_never_deletes_outside_its_folder(tmp_path: Path, way: str) -> None:
    settings = {"classes": 6, "clips_per_class": 3}
    (tmp_path / "precious").mkdir()
    clip = tmp_path / "precious" / "000.mp4"
    clip.touch()
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "precious")
    names = {"up": ["../precious"], "absolute": [str(clip.parent)], "link": ["link"], "no list": 7}
    (folder / "toy.json").write_text(json.dumps({**settings, "version": 0, "names": names[way]}))
    with pytest.raises(EzavError, match="does not list the classes of a toy world"):
        generate_toy_world(folder, **settings)
    assert clip.exists()


def test_files_of_the_user_in_an_older_world_stay(tmp_path: Path) -> None:
    settings = {"classes": 6, "clips_per_class": 3}
    name = design_world(6, seed=0).classes[0].name
    (tmp_path / name).mkdir()
    for file in ("000.mp4", "holiday.mp4"):
        (tmp_path / name / file).write_bytes(b"old")
    spec = {**settings, "version": 0, "seed": 0, "names": [name]}
    (tmp_path / "toy.json").write_text(json.dumps(spec))
    generate_toy_world(tmp_path, **settings)
    assert (tmp_path / name / "holiday.mp4").read_bytes() == b"old"
    assert (tmp_path / name / "000.mp4").read_bytes() != b"old"


def test_a_list_instead_of_a_description_is_no_toy_world(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text("[]")
    with pytest.raises(EzavError, match="not empty and is no toy world"):
        generate_toy_world(tmp_path, classes=6, clips_per_class=3)


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EZAV_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "ezav"


def test_the_largest_object_has_the_named_colour_and_moves_as_named() -> None:
    """Read off by simple means: the hue of the most saturated pixels, the path of their middle."""
    draw = np.random.default_rng(5)
    channel = {"red": 0, "green": 1, "blue": 2}
    right = 0
    spread: dict[str, list[float]] = defaultdict(list)
    for trial in range(24):
        colour = list(channel)[trial % 3]
        motion = ("bouncing", "sliding")[trial % 2]
        frames = draw_frames(Parts(colour, "circle", motion, ""), 128, 96, 50, 25, draw) / 255
        excess = frames.max(axis=3) - frames.min(axis=3)
        mask = excess >= np.quantile(excess, 0.96)
        right += int(np.argmax(frames[mask].mean(axis=0)) == channel[colour])
        middle = np.array([np.argwhere(m).mean(axis=0) for m in mask if m.any()])
        spread[motion].append(middle[:, 0].std() / middle[:, 1].std())
    assert right >= 19
    assert np.median(spread["bouncing"]) > 1 > np.median(spread["sliding"])


def test_sounds_differ_in_pitch_and_not_in_loudness() -> None:
    """High against low by the loudest frequency; all of them loud and soft."""
    draw = np.random.default_rng(3)
    centre: dict[str, float] = {}
    level: dict[str, list[float]] = defaultdict(list)
    for sound in SOUNDS:
        centres = []
        for _ in range(30):
            wave = make_sound(sound, 32_000, 16_000, draw)
            assert wave.dtype == np.float32
            assert np.abs(wave).max() <= 1
            power = np.abs(np.fft.rfft(wave)) ** 2
            centres.append(np.argmax(power) / 2)  # hertz: the clip lasts 2 s
            level[sound].append(float(np.sqrt(np.mean(wave**2))))
        centre[sound] = float(np.median(centres))
    assert centre["a low hum"] < 500 < centre["a high beep"]
    # Between kinds of sound the level differs far less than between clips of one kind.
    logs = {sound: np.log10(values) for sound, values in level.items()}
    between = np.std([values.mean() for values in logs.values()])
    assert between < 0.5 * np.mean([values.std() for values in logs.values()])
