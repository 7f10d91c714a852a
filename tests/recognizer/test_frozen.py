"""A recogniser that nothing was trained for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import torch

from ezav.cli.common import tell_seen
from ezav.cli.main import main
from ezav.encoders.base import EncoderCard
from ezav.encoders.names import readable_names
from ezav.encoders.registry import load_audio, load_text, load_visual
from ezav.encoders.words import WordReader, label_vectors
from ezav.errors import EzavError
from ezav.features import EncoderInfo
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.features.tokens import Tokens
from ezav.media import read_clip
from ezav.methods.base import Dims
from ezav.recognizer import Recognizer
from ezav.recognizer.frozen_method import Channel, FrozenMethod
from tests.encoders import checkpoints
from tests.media.files import write_wav
from tests.recognizer.small_run import write_video

NAMES = ["Saxophone_playing", "dog barking", "a trombone", "rain"]


def _visual_clips(values: list[np.ndarray]) -> FeatureSet:
    parts = [
        (torch.from_numpy(one), torch.arange(len(one)) / 2) if len(one) else None for one in values
    ]
    return FeatureSet(
        audio=Ragged.from_clips([None] * len(values), 1),
        visual=Ragged.from_clips(parts, 1280),
        labels=torch.zeros(len(values), dtype=torch.long),
        clips=tuple(map(str, range(len(values)))),
        classes=("",),
    )


def test_scores_are_cosines_of_words_and_names_computed_apart() -> None:
    recognizer = Recognizer.frozen()
    rng = np.random.default_rng(0)
    tokens = [np.maximum(rng.normal(size=(t, 1280)), 0).astype(np.float32) for t in (1, 3, 2)]
    found = recognizer.score(_visual_clips(tokens), recognizer.candidates(NAMES))
    visual, text = load_visual("efficientnet"), load_text("minilm")
    labels = label_vectors(text, visual.labels)  # type: ignore[attr-defined]
    names = text.encode(readable_names(NAMES)).numpy()
    for row, clip in enumerate(tokens):
        logits = visual.label_scores(clip) / 1.5  # type: ignore[attr-defined]
        vectors = []
        for one in logits:
            share = np.exp(one - one.max())
            vectors.append(share / share.sum() @ labels)
        mean = labels.mean(axis=0)
        word = np.mean(vectors, axis=0) - mean
        for column, name in enumerate(names - mean):
            cosine = word @ name / np.linalg.norm(word) / np.linalg.norm(name)
            assert float(found[row, column]) == pytest.approx(10 * cosine, abs=2e-4)


def test_a_sound_is_read_by_its_labels() -> None:
    """What it says is added, as the formula has it; without pictures it answers alone."""
    recognizer = Recognizer.frozen(audio="aisfx")
    assert set(recognizer.reads) == {"audio", "visual"}
    draw = np.random.default_rng(0)
    sounds = [draw.random((n, 512)).astype(np.float32) for n in (3, 1)]
    pictures = _visual_clips([draw.random((2, 1280)).astype(np.float32), np.zeros((0, 1280))])
    heard = [(torch.from_numpy(one), torch.arange(len(one)) / 2) for one in sounds]
    clips = replace(pictures, audio=Ragged.from_clips(heard, 512))
    encoder, text = load_audio("aisfx"), load_text("minilm")
    labels = label_vectors(text, encoder.labels)  # type: ignore[attr-defined]
    apart = labels - labels.mean(axis=0)
    names = text.encode(readable_names(NAMES)).numpy() - labels.mean(axis=0)
    expected = np.zeros((2, len(NAMES)))
    for row, tokens in enumerate(sounds):
        share = np.exp(encoder.label_scores(tokens) / 1.5)  # type: ignore[attr-defined]
        share = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
        for column, name in enumerate(names):
            cosines = apart @ name / np.linalg.norm(apart, axis=1) / np.linalg.norm(name)
            near = np.exp(12 * (cosines - 1))
            expected[row, column] = 0.2 * np.log((share @ near + 1e-6) / (near.mean() + 1e-6))
    asked = recognizer.candidates(NAMES)
    found = recognizer.score(clips, asked)
    deaf = Recognizer.frozen().score(pictures, asked)
    np.testing.assert_allclose(found, deaf + torch.from_numpy(expected), atol=1e-4)
    assert not deaf[1].any()
    told = recognizer.predict(clips, classes=NAMES, together=True)
    assert told[1].best.score == pytest.approx(float(found[1].max()), abs=1e-4)


@pytest.mark.parametrize("broad", [False, True])
def test_fine_labels_are_averaged_and_broad_ones_added(broad: bool) -> None:
    def channel(kind: Literal["visual", "audio"], broad: bool) -> Channel:
        card = EncoderCard(
            name=kind,
            kind=kind,
            dimension=2,
            source="",
            revision="",
            licence="",
            broad_labels=broad,
        )
        names = ("a dog", "the rain")
        encoder = SimpleNamespace(card=card, labels=names, label_scores=lambda tokens: 5 * tokens)
        return Channel(kind, slice(0, 384), 10.0, WordReader(encoder, text))  # type: ignore[arg-type]

    text = load_text("minilm")
    names = torch.as_tensor(text.encode(["a puppy", "a storm"]))
    sight, sound = (
        Tokens.pooled(torch.tensor([[1.0, 0.0]])),
        Tokens.pooled(torch.tensor([[0.2, 1.0]])),
    )
    seen, heard = channel("visual", False), channel("audio", broad)
    found = FrozenMethod((seen, heard), Dims(audio=2, visual=2, text=384))
    cosines = [
        10 * one.centred(one.vectors(tokens)) @ one.names(names).T
        for one, tokens in ((seen, sight), (heard, sound))
    ]
    expected = (cosines[0] + cosines[1]) / 2
    if broad:
        expected = cosines[0] + 10 * heard.evidence(sound, names)
    torch.testing.assert_close(found.scores(sound, sight, names), expected)


def test_a_recording_without_pictures_is_answered_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tmp_path / "hum.wav"
    write_wav(sound, np.sin(np.arange(44_100) / 50), 44_100)
    asked = ["predict", "--frozen", str(sound), "--classes", "a hum", "a dog"]
    assert _said(asked, capsys)[0] == 1
    status, out, _ = _said([*asked, "--audio", "aisfx"], capsys)
    assert status == 0
    assert "answered from the sound alone" in out


@pytest.mark.parametrize("kind", ["clip", "siglip", "xclip", "pe_av"])
def test_encoders_that_share_a_space_with_text(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.vit_for_timm(monkeypatch)
    made: dict[str, tuple[Callable[[Path], Path], str]] = {
        "clip": (checkpoints.clip, "clip"),
        "siglip": (checkpoints.siglip, "siglip2"),
        "xclip": (checkpoints.xclip, "xclip"),
        "pe_av": (checkpoints.pe_av, "pe-av"),
    }
    make, name = made[kind]
    spec = f"{name},source={make(tmp_path / 'model')}"
    recognizer = Recognizer.frozen(visual=spec)
    assert recognizer.reads == ("visual",)
    assert "aisfx" in recognizer.unused["audio"]
    video = write_video(tmp_path / "clip.mp4", ["blue light"])
    clip = read_clip(video, video=recognizer.encoders.visual.card.needs.frame_spec)
    [answer] = recognizer.predict(clip, classes=["dog", "ice cream"])
    assert not answer.error
    assert not answer.missing
    visual = load_visual(name, source=str(tmp_path / "model"))
    text = load_text(name, source=str(tmp_path / "model"))
    [encoded] = recognizer.encode([clip])
    assert encoded.visual is not None
    picture = torch.from_numpy(encoded.visual.values).mean(dim=0)
    cosines = text.encode(["dog", "ice cream"]) @ (picture / picture.norm())
    best = answer.ranked[0]
    assert best.score == pytest.approx(100 * float(cosines.max()), abs=1e-3)
    assert visual.card.dimension == len(picture)


def test_picture_and_sound_with_a_text_each(tmp_path: Path) -> None:
    heard = f"clap,source={checkpoints.clap(tmp_path / 'clap')}"
    seen = f"clip,source={checkpoints.clip(tmp_path / 'clip')}"
    recognizer = Recognizer.frozen(visual=seen, audio=heard)
    assert not recognizer.unused
    assert set(recognizer.reads) == {"audio", "visual"}
    video = write_video(tmp_path / "clip.mp4", ["blue light"])
    [answer] = recognizer.predict(video, classes=["dog", "ice cream"], top_k=2, explain=True)
    [encoded] = recognizer.encode([video])
    recognizer.close()
    scores = []
    for tokens, scale, name, folder in (
        (encoded.visual, 100.0, "clip", "clip"),
        (encoded.audio, 14.3, "clap", "clap"),
    ):
        assert tokens is not None
        mean = torch.from_numpy(tokens.values).mean(dim=0)
        names = load_text(name, source=str(tmp_path / folder)).encode(["dog", "ice cream"])
        scores.append(scale * names @ (mean / mean.norm()))
    expected = ((scores[0] + scores[1]) / 2).tolist()
    given = {one.name: one.score for one in answer.ranked}
    assert [given["dog"], given["ice cream"]] == pytest.approx(expected, abs=1e-3)
    assert set(answer.best.contributions) == {"audio", "visual"}


def test_a_classifier_without_names_of_labels_is_not_used(tmp_path: Path) -> None:
    """The tiny AST has placeholders, "LABEL_0", for labels: there is nothing to read."""
    recognizer = Recognizer.frozen(audio=f"ast,source={checkpoints.ast(tmp_path / 'ast')}")
    assert recognizer.reads == ("visual",)
    assert "'ast' shares no space with 'minilm' and names no labels" in recognizer.unused["audio"]


def test_what_cannot_be_answered_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match=r"no encoder shares a space with the text.*'statistics'"):
        Recognizer.frozen(visual="statistics")
    recognizer = Recognizer.frozen()
    with pytest.raises(EzavError, match="no names to choose from"):
        recognizer.predict(tmp_path / "clip.mp4")
    with pytest.raises(EzavError, match="has no result"):
        _ = recognizer.result
    one = _visual_clips([np.ones((1, 1280), np.float32)])
    with pytest.raises(EzavError, match="one readable clip cannot be answered together"):
        recognizer.predict(one, classes=NAMES, together=True)
    nothing = _visual_clips([np.ones((0, 1280), np.float32)])
    [answer] = recognizer.predict(nothing, classes=NAMES)
    assert "neither" in answer.error
    silent = write_video(tmp_path / "silent.mp4", ["blue light"], sound=False)
    [answer] = recognizer.predict(silent, classes=NAMES)
    assert not answer.error
    assert not answer.missing
    recognizer.close()


def test_probabilities_are_uncalibrated_until_clips_with_labels_are_given(tmp_path: Path) -> None:
    recognizer = Recognizer.frozen()
    assert not recognizer.calibration.fitted
    assert recognizer.temperature_ == 1
    for name, light in (("dog", "blue light"), ("rain", "green light")):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(2):
            write_video(tmp_path / "clips" / name / f"{number}.mp4", [light])
    fitted = recognizer.calibrate(tmp_path / "clips")
    recognizer.close()
    assert fitted.clips == 4
    assert fitted.temperature_ != 1
    assert recognizer.calibration is fitted
    assert fitted.fitted


def test_saved_it_opens_and_answers_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recognizer = Recognizer.frozen()
    for name, light in (("dog", "blue light"), ("rain", "green light")):
        (tmp_path / "clips" / name).mkdir(parents=True)
        write_video(tmp_path / "clips" / name / "0.mp4", [light])
    recognizer.calibrate(tmp_path / "clips")
    names = ["a trombone: a brass instrument", "rain"]
    folder = tmp_path / "saved"
    with pytest.raises(EzavError, match="one class"):
        recognizer.save(folder, classes=["rain", "Rain"])
    recognizer.save(folder, classes=names)
    assert {one.name for one in folder.iterdir()} == {
        "frozen.json",
        "store.json",
        "calibration.json",
        "manifest.json",
    }
    clips = _visual_clips([np.random.default_rng(n).random((3, 1280), np.float32) for n in (0, 1)])
    wanted = recognizer.predict(clips, classes=names)
    recognizer.close()
    opened = Recognizer.load(folder)
    assert opened.is_frozen
    assert opened.classes == ("a trombone", "rain")
    assert opened.calibration == recognizer.calibration
    assert opened.unused == recognizer.unused
    assert opened.predict(clips) == wanted
    assert opened.predict(clips, classes=["dog", "rain"])[0].ranked[0].kind == "new"
    opened.save_pretrained(tmp_path / "again")  # as it is pushed: with a card
    assert "nothing was trained" in (tmp_path / "again" / "README.md").read_text()
    assert Recognizer.from_pretrained(tmp_path / "again").classes == opened.classes
    opened.teach({"kettle": clips.subset(torch.tensor([0]))})
    opened.save(tmp_path / "taught")
    again = Recognizer.load(tmp_path / "taught")
    assert (again.taught, again.classes) == ({"kettle": 1}, opened.classes)
    assert set(again.classes) == {"a trombone", "rain", "kettle"}
    assert again.predict(clips) == opened.predict(clips)
    video = str(tmp_path / "clips" / "dog" / "0.mp4")
    status, out, _ = _said(["predict", str(folder), video], capsys)
    assert (status, "a trombone" in out) == (0, True)
    status, out, _ = _said(["scan", "--json", str(folder), video], capsys)
    assert status == 0
    assert {one["name"] for one in json.loads(out)["events"]} <= {"a trombone", "rain"}


def test_a_saved_one_that_was_changed_is_refused(tmp_path: Path) -> None:
    recognizer = Recognizer.frozen()
    recognizer.save(tmp_path / "a")
    assert Recognizer.load(tmp_path / "a").classes == ()
    told = json.loads((tmp_path / "a" / "frozen.json").read_text())

    def changed(folder: str, file: str, **new: object) -> Path:
        shutil.copytree(tmp_path / "a", tmp_path / folder)
        path = tmp_path / folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **new}))
        return tmp_path / folder

    with pytest.raises(EzavError, match=r"frozen\.json"):
        Recognizer.load(changed("b", "frozen.json", names={"dog": []}))  # not what was written
    cases: list[tuple[str, dict[str, object], str]] = [
        ("frozen.json", {"version": 2}, "is damaged"),
        ("frozen.json", {"names": {"": []}}, "name"),
        ("frozen.json", {"text": "my.mod:Text@1"}, "import"),
        ("frozen.json", {"text": "minilm@other"}, "is not the one here"),
        ("calibration.json", {"temperature_": 0}, "is damaged"),
    ]
    for number, (file, new, said) in enumerate(cases):
        folder = changed(f"c{number}", file, **new)
        (folder / "manifest.json").unlink()
        with pytest.raises(EzavError, match=said):
            Recognizer.load(folder)
    header = json.loads((tmp_path / "a" / "store.json").read_text())
    for key, value, said in (
        ("revision", "other", "is not the one here"),
        ("name", "my.mod:Eyes", "import"),
        ("name", "no-such", "no-such"),
    ):
        encoders = [{**header["encoders"][0], key: value, "identity": ""}]
        folder = changed(f"{key}-{value[-3:]}", "store.json", encoders=encoders)
        (folder / "manifest.json").unlink()
        with pytest.raises(EzavError, match=said):
            Recognizer.load(folder)
    assert told["names"] == {}


def _said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_commands_answer_without_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [write_video(tmp_path / "clips" / f"{n}.mp4", ["blue light"]) for n in range(2)]
    names = ["--classes", "a trombone", "rain"]
    status, out, err = _said(["predict", "--frozen", str(videos[0]), *names], capsys)
    assert status == 0
    assert "a trombone" in out
    assert "probabilities are uncalibrated" in out
    assert "sound is not used; --audio aisfx uses it" in err
    assert "of 2 names efficientnet has seen 1 under its labels ('a trombone'), perhaps 1" in err
    together = ["predict", "--frozen", "--together", "--json", str(tmp_path / "clips"), *names]
    status, out, _ = _said(together, capsys)
    found = json.loads(out)
    assert status == 0
    assert [Path(one["clip"]).name for one in found["predictions"]] == ["0.mp4", "1.mp4"]
    assert all(one["together"] is not None for one in found["predictions"])
    assert found["calibrated"] is False
    assert found["ece"] is None  # JSON has no NaN
    status, out, _ = _said(["scan", "--frozen", "--json", str(videos[0]), *names], capsys)
    assert status == 0
    assert {one["name"] for one in json.loads(out)["events"]} <= {"a trombone", "rain"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "--frozen", "a.mp4"], "--frozen knows no classes of its own"),
        (["predict", "run", "a.mp4", "--audio", "clap"], "--audio is an option of --frozen"),
        (["scan", "--frozen", "run", "a.mp4", "--classes", "a"], "--frozen takes no run"),
        (["scan", "run"], "no recording is given"),
        (["serve"], "no run is given"),
        (["serve", "--frozen", "run"], "--frozen takes no run"),
        (["predict", "--frozen", "a.mp4", "--visual", "no-such", "--classes", "a"], "no-such"),
    ],
)
def test_what_does_not_go_with_frozen_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = _said(arguments, capsys)
    assert status != 0
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_run_says_which_unseen_classes_the_encoder_has_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = EncoderInfo(modality="visual", name="efficientnet", dimension=1280)
    line = tell_seen([made], ["trombone", "blowing candles"], "unseen classes")
    assert line == (
        "of 2 unseen classes efficientnet has seen 1 under its labels ('trombone'), perhaps 1 "
        "('blowing candles': candle)"
    )
    assert line in capsys.readouterr().err.replace("\n", " ")
