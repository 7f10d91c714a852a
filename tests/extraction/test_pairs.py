"""Several encoders in one pass, options of encoders, half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ezav.cli.extract import show_report
from ezav.cli.main import main
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError, RefusedError
from ezav.extraction import encode, encode_clip, extract
from ezav.features import FeatureStore
from ezav.recognizer.encoders import RunEncoders
from tests.encoders import checkpoints
from tests.extraction.encoders import AUDIO, HERE, LIGHT, TEXT, VISUAL, Level, MeanColour
from tests.media.files import write_clip

TWO = [f"{HERE}:MeanColour", f"{HERE}:MeanColour,frames=3"]


def test_stores_of_one_pass_equal_those_of_a_pass_each(videos: Path, tmp_path: Path) -> None:
    report = extract(videos, tmp_path / "s", visual=TWO, audio=AUDIO, text=TEXT, workers=2)
    (other,) = report.others
    assert [r.store.name for r in (report, other)] == ["MeanColour+Level", "MeanColour+Level-2"]
    for together, visual in zip((report, other), TWO):
        apart = extract(
            videos, tmp_path / f"{together.store.name}", visual=visual, audio=AUDIO, text=TEXT
        )
        assert together.fingerprint == apart.fingerprint
    assert report.fingerprint != other.fingerprint
    assert FeatureStore.open(other.store).select().visual.lengths.tolist() == [3] * 30


def test_a_file_is_decoded_once_for_all(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(options)
        return original(*arguments, **options)

    original = encode.read_clip
    monkeypatch.setattr(encode, "read_clip", counted)
    clip = encode_clip(videos / "dog" / "0.mp4", [MeanColour(), MeanColour(frames=3)], [Level()])
    assert len(calls) == 1
    assert list(clip.tokens) == ["visual", "visual 2", "audio"]
    assert len(clip.tokens["visual 2"].values) == 3
    assert np.array_equal(
        clip.tokens["visual 2"].values,
        encode_clip(videos / "dog" / "0.mp4", MeanColour(frames=3), None).tokens["visual"].values,
    )


def test_a_store_that_lags_behind_catches_up(videos: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"audio": AUDIO, "text": TEXT, "workers": 1}
    whole = extract(videos, tmp_path / "s", visual=TWO, **how)
    # The second store is begun anew: the first has all its clips already.
    for path in sorted((tmp_path / "s" / "MeanColour+Level-2").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = extract(videos, tmp_path / "s", visual=TWO, **how)
    assert (again.added, again.fingerprint) == (30, whole.fingerprint)
    assert again.others[0].fingerprint == whole.others[0].fingerprint


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_encoder_that_fails_on_a_clip_costs_its_own_store_that_clip(
    own_videos: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(own_videos / "dog" / "odd.mp4", frames=2, size=(32, 6), tone=300.0)
    how: dict[str, Any] = {"audio": AUDIO, "text": TEXT, "workers": 1}
    both = [VISUAL, f"{HERE}:OnDevice"]
    report = extract(own_videos, tmp_path / "s", visual=both, device=device, **how)
    (other,) = report.others
    assert (report.readable, report.failures) == (31, ())
    assert [(f.clip, f.reason) for f in other.failures] == [
        ("dog/odd.mp4", f"'{VISUAL}' failed: RuntimeError: not this one")
    ]
    for number, made in enumerate((report, other)):
        alone = extract(own_videos, tmp_path / str(number), visual=both[number], **how)
        assert alone.fingerprint == made.fingerprint
    show_report(report)
    told = capsys.readouterr().out
    assert f"1 clips are left out of {other.store}:\n  dog/odd.mp4: " in told


def test_one_of_two_encoders_that_never_works_is_an_error(videos: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"audio": AUDIO, "text": TEXT, "workers": 1}
    with pytest.raises(EzavError, match=r"does not work: .*no weights"):
        extract(videos, tmp_path / "s", visual=[VISUAL, f"{HERE}:Broken"], **how)


def test_numbers_that_make_no_pairs(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="3 visual and 2 audio encoders make no pairs"):
        extract(videos, tmp_path / "s", visual=[VISUAL] * 3, audio=[AUDIO] * 2, text=TEXT)


def test_half_precision_on_the_disk(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "single", **LIGHT, workers=1)
    extract(videos, tmp_path / "half", **LIGHT, workers=1, half=True)
    single, half = (
        FeatureStore.open(tmp_path / name).select(dtype=None) for name in ("single", "half")
    )
    assert (single.visual.values.dtype, half.visual.values.dtype) == (torch.float32, torch.float16)
    assert torch.equal(single.visual.values.half(), half.visual.values)
    assert torch.equal(single.audio.times, half.audio.times)
    with pytest.raises(EzavError, match="float16"):  # a store is one thing
        extract(videos, tmp_path / "half", **LIGHT, workers=1)


def test_half_precision_refuses_what_it_cannot_hold(videos: Path, tmp_path: Path) -> None:
    loud = f"{HERE}:MeanColour,scale=1e6"
    with pytest.raises(EzavError, match="beyond the range of half precision"):
        extract(videos, tmp_path / "s", visual=loud, audio=AUDIO, text=TEXT, workers=1, half=True)


def test_a_store_tells_predict_how_to_load_its_encoders(
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole way with a model folder: named on the command line, found again from elsewhere."""
    checkpoints.clip(tmp_path / "models" / "clip")
    monkeypatch.chdir(tmp_path)
    command = ["extract", str(videos), "--out", "s", "--workers", "1", "--audio", AUDIO]
    command += ["--visual", "clip,source=models/clip,frames=2", "--text", "clip,source=models/clip"]
    assert main(command) == 0
    store = FeatureStore.open(tmp_path / "s")
    monkeypatch.chdir("/")
    run = RunEncoders(store.header, store.class_embeddings(), import_code=True)
    assert run.visual.card.needs.frames == 2
    tokens = encode_clip(videos / "dog" / "0.mp4", run.visual, None).visual
    features = store.select()
    row = features.clips.index("dog/0.mp4")
    assert tokens is not None
    torch.testing.assert_close(
        features.visual.gather(torch.tensor([row])).values[0], torch.from_numpy(tokens.values)
    )
    torch.testing.assert_close(run.encode_names(store.classes), store.class_embeddings().vectors)


def test_own_encoders_are_found_again_whatever_their_card_says(
    videos: Path, tmp_path: Path
) -> None:
    extract(videos, tmp_path / "s", visual=f"{HERE}:Nameless", audio=AUDIO, text=TEXT, workers=1)
    store = FeatureStore.open(tmp_path / "s")
    run = RunEncoders(store.header, store.class_embeddings(), import_code=True)
    assert run.visual.card.name == "my colours"
    with pytest.raises(RefusedError, match="is code that a file names"):
        _ = RunEncoders(store.header, store.class_embeddings()).visual


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is no encoder"), ("clip,", "is no encoder"), ("fps=2", "is no encoder")],
)
def test_wrong_specs(text: str, words: str) -> None:
    with pytest.raises(EzavError, match=words):
        EncoderSpec.parse(text)


@pytest.mark.parametrize(
    "options",
    [
        {"fps": 2, "source": "/a b/c,d"},
        {"prompts": ["a photo of {}", "{}, a sound"], "bgr": False},
        {"prompts": "a photo of {}, a sound", "revision": "1234"},
        {"prompts": "{}"},
        {"prompts": "2"},
        {"window": 1.5, "mean": [1, 2, 3]},
    ],
)
def test_a_spec_is_read_as_it_is_written(options: dict[str, Any]) -> None:
    spec = EncoderSpec("clip", options)
    assert EncoderSpec.parse(f"clip,{spec.settings}") == spec


def test_long_recordings_of_several_encoders(tmp_path: Path) -> None:
    """A number of frames is of the whole; a rate is encoded in windows."""
    path = write_clip(tmp_path / "long.mp4", times=[0, 80, 155], fps=1, tone=None)
    clip = encode_clip(path, [MeanColour(frames=3), MeanColour(fps=0.1)], None)
    assert clip.duration > 150
    assert len(clip.tokens["visual"].values) == 3
    assert len(clip.tokens["visual 2"].values) == pytest.approx(15.6, abs=1)
    times = clip.tokens["visual 2"].times
    assert (np.diff(times) > 0).all()
