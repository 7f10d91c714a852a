"""One road from media to tokens: what an encoder or a file does wrong is told alike by every door.

The doors are `extract`, `predict`, `scan`, `inspect` and `serve`, and `Recognizer.predict` in
Python.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ezav.cli.main import main
from ezav.encoders.base import Encoded
from ezav.errors import EzavError
from ezav.extraction import encode_clip, extract
from ezav.features import FeatureStore
from ezav.media import Frames, read_clip
from ezav.recognizer import Recognizer
from ezav.web.reading import Reader
from ezav.web.settings import WebSettings
from tests.extraction.encoders import AUDIO, TEXT, Level, MeanColour
from tests.media.files import sine, write_clip, write_wav
from tests.recognizer import small_run

HERE = "tests.recognizer.test_one_road"


class Treacherous(MeanColour):
    """Goes wrong on clips of some heights, as an encoder of one's own may."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.but(name=f"{HERE}:Treacherous")

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        height = clips[0].images.shape[1]
        found = super().encode(clips)
        values, times = found[0]
        if height == 6:
            raise RuntimeError("a surprise\nin two lines")
        if height == 8:
            return [Encoded(values * np.float32(np.nan), times)]
        if height == 10:
            return [Encoded(values[:, :2], times)]
        if height == 12:
            return []
        if height == 14:
            os.kill(os.getpid(), signal.SIGSEGV)
        return found


NAME = f"{HERE}:Treacherous"
REASONS = {
    "raises": (6, f"'{NAME}' failed: RuntimeError: a surprise in two lines"),
    "nan": (8, f"'{NAME}' gave features that are not finite"),
    "shape": (10, f"'{NAME}' gave tokens (2, 2) with times (2,), expected [T, 3] and [T]"),
    "too few": (12, f"'{NAME}' gave tokens for 0 of 1 clips"),
    "kills": (14, "crashed the decoder (signal SIGSEGV)"),
}


@dataclass(frozen=True)
class World:
    """A run whose visual encoder is treacherous, with clips that it takes and does not take."""

    run: Path
    store: Path
    good: Path
    bad: dict[str, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("road")
    bad = {}
    for number, name in enumerate(("dog", "cat", "bell", "rain", "sea", "car", "wind", "bird")):
        for take in range(6):
            tone = 200.0 + 90 * number + 3 * take
            path = root / "videos" / name / f"{take}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, frames=4, size=(32, 24), tone=tone, rate=8_000)
    for what, (height, _) in REASONS.items():
        path = root / "videos" / "dog" / f"{what}.mp4"
        bad[what] = write_clip(path, frames=4, size=(32, height), tone=300.0, rate=8_000)
    extract(root / "videos", root / "store", visual=NAME, audio=AUDIO, text=TEXT, workers=1)
    run = small_run.train(FeatureStore.open(root / "store"), root / "run")
    return World(run, root / "store", root / "videos" / "cat" / "0.mp4", bad)


def test_extract_leaves_out_what_went_wrong_and_says_why(world: World) -> None:
    index = FeatureStore.open(world.store).index.to_pylist()
    reasons = {Path(row["clip"]).stem: row["reason"] for row in index if row["status"] != "ok"}
    assert reasons == {what: reason for what, (_, reason) in REASONS.items()}
    assert len(index) - len(reasons) == 48


def test_predict_says_the_same_and_answers_the_others(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [*world.bad.values(), world.good]
    with Recognizer.load(world.run, import_code=True) as recognizer:
        found = recognizer.predict(paths, explain=False)
    assert [one.error for one in found] == [reason for _, reason in REASONS.values()] + [""]
    assert found[-1].ranked
    assert main(["predict", str(world.run), *map(str, paths), "--import", "--json"]) == 1
    told = capsys.readouterr()
    predictions = json.loads(told.out)["predictions"]
    assert [one["error"] for one in predictions] == [one.error for one in found]
    assert predictions[-1]["ranked"]
    assert "Traceback" not in told.err


@pytest.mark.parametrize("what", REASONS)
def test_scan_says_the_same(world: World, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["scan", str(world.run), str(world.bad[what]), "--import"]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"cannot scan '{world.bad[what]}': {REASONS[what][1]}" in told
    assert "Traceback" not in told


def test_inspect_says_the_same_and_looks_into_the_others(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [*map(str, world.bad.values()), str(world.good)]
    assert main(["inspect", str(world.run), "--clips", *paths, "--import", "--json"]) == 1
    clips = json.loads(capsys.readouterr().out)["clips"]
    assert [one["error"] for one in clips] == [reason for _, reason in REASONS.values()] + [""]
    assert [one["clip"] for one in clips] == paths
    assert clips[-1]["classes"][0]["tokens"]


def test_the_web_page_says_the_same_and_answers_the_next(world: World) -> None:
    recognizer = Recognizer.load(world.run, import_code=True)
    with Reader(recognizer, WebSettings()) as reader:
        for what, path in world.bad.items():
            with pytest.raises(EzavError) as error:
                reader.read(path)
            assert str(error.value) == REASONS[what][1]
        assert reader.read(world.good).encoded.visual is not None


@pytest.mark.parametrize("what", [what for what in REASONS if what != "kills"])
def test_a_decoded_clip_says_the_same(world: World, what: str) -> None:
    needs = (Treacherous().card.needs, Level().card.needs)
    clip = read_clip(world.bad[what], video=needs[0].frame_spec, audio=needs[1].sample_rate)
    recognizer = Recognizer.load(world.run, import_code=True)
    (found,) = recognizer.predict(clip)
    assert found.error == REASONS[what][1]


def test_the_same_recording_gives_the_same_tokens_by_every_door(
    world: World, tmp_path: Path
) -> None:
    """Also a long one, which is read in windows."""
    rate = 8_000
    long = write_wav(tmp_path / "long.wav", sine(300, 160, rate, 0.3)[None], rate)
    recognizer = Recognizer.load(world.run, import_code=True)
    with Reader(recognizer, WebSettings(max_seconds=1000)) as reader, recognizer:
        for path in (world.good, long):
            alone = encode_clip(path, Treacherous(), Level())
            ours = recognizer.encode([path])[0]
            theirs = reader.read(path).encoded
            for door in (ours, theirs):
                assert door.tokens.keys() == alone.tokens.keys()
                for slot, tokens in alone.tokens.items():
                    assert np.array_equal(door.tokens[slot].values, tokens.values)
                    assert np.array_equal(door.tokens[slot].times, tokens.times)
    assert alone.audio is not None
    assert alone.audio.times.tolist() == [30, 90, 140]
    stored = FeatureStore.open(world.store).select()
    row = stored.clips.index("cat/0.mp4")
    features = recognizer.features([encode_clip(world.good, Treacherous(), Level())])
    begin, end = stored.visual.offsets[row : row + 2].tolist()
    assert np.array_equal(stored.visual.values[begin:end].numpy(), features.visual.values.numpy())


def test_what_was_found_before_the_reading_broke_off_comes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from ezav.recognizer.events import ScanSettings
    from ezav.recognizer.reading import ClipReader
    from ezav.recognizer.scan import scan

    read = ClipReader.windows

    def broken_off(*arguments: object) -> object:
        windows = list(read(*arguments))  # type: ignore[arg-type]
        yield from windows
        yield replace(windows[-1], status="unreadable", reason="took too long", lost=True)

    monkeypatch.setattr(ClipReader, "windows", broken_off)
    recognizer = Recognizer.load(world.run, import_code=True)
    events = scan(recognizer, world.good, None, ScanSettings(reject=False, shortest=0.0))
    assert next(events).end > 0
    with pytest.raises(EzavError, match="was scanned in part only: took too long"):
        list(events)
