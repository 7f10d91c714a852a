"""Saving, opening elsewhere, the hub (its client stood in for), the card."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.errors import EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.manifest import MANIFEST, SIGNATURE
from ezav.protocol.files import CALIBRATION
from ezav.recognizer import Recognizer
from ezav.recognizer.card import encoder_rows
from ezav.recognizer.find import FILES, is_hub_id
from ezav.recognizer.folder import read_calibration

Stored = tuple[FeatureStore, Path]

WRITTEN = [name for name in FILES if name not in (MANIFEST, SIGNATURE) and "*" not in name]
"""What a recogniser is read from, and cannot be without."""


def test_saved_and_opened_elsewhere_answers_the_same(
    stored: Stored, recognizer: Recognizer, tmp_path: Path
) -> None:
    clips = stored[0].select("test_unseen")
    names = ["walrus", "dog barking"]
    recognizer.save_pretrained(tmp_path / "mine")
    assert {p.name for p in (tmp_path / "mine").iterdir()} == {*WRITTEN, MANIFEST, "README.md"}
    for opened in (
        Recognizer.from_pretrained(tmp_path / "mine"),
        Recognizer.load(tmp_path / "mine"),
    ):
        assert opened.calibration == recognizer.calibration
        assert opened.predict(clips) == recognizer.predict(clips)
        assert opened.predict(clips, names) == recognizer.predict(clips, names)


def test_nothing_shared_names_a_training_clip_or_is_a_pickle(
    stored: Stored, recognizer: Recognizer, tmp_path: Path
) -> None:
    recognizer.save_pretrained(tmp_path)
    clips = stored[0].select().clips
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert not any(clip.encode() in data for clip in clips)
        with pytest.raises(Exception):  # noqa: B017, PT011
            pickle.loads(data)


def test_the_card_has_the_real_numbers(recognizer: Recognizer, tmp_path: Path) -> None:
    recognizer.save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    metrics = recognizer.result.metrics
    assert f"| test | {100 * metrics.S:.2f} | {100 * metrics.U:.2f} |" in text
    assert all(name in text for name in recognizer.classes)
    assert "| text | minilm | sha256:" in text
    assert "a local file or folder is looked for at the path that was recorded" in text
    assert "Apache-2.0" in text
    assert "Nils Reimers and Iryna Gurevych (EMNLP 2019)" in text  # whom a licence asks to name
    assert "| audio | random | not stated | not stated |" in text
    assert text.startswith("---\nlibrary_name: ezav\n")


def test_the_card_names_each_text_encoder_of_joined_ones(recognizer: Recognizer) -> None:
    joined = replace(recognizer.text, encoder="clip@1 + minilm@2")
    trained = replace(recognizer.trained, text=joined)
    text = [row for row in encoder_rows(trained) if row["modality"] == "text"]
    assert [(row["name"], row["revision"]) for row in text] == [("clip", "1"), ("minilm", "2")]
    assert text[0]["licence"] != text[1]["licence"] == "Apache-2.0"
    with pytest.raises(EzavError, match=r"trained on joined texts \(clip@1 \+ minilm@2\)"):
        Recognizer(trained).candidates(["walrus"])


def test_saved_over_another_run_the_card_is_of_this_one(
    recognizer: Recognizer, timed: Stored, tmp_path: Path
) -> None:
    Recognizer.load(timed[1]).save_pretrained(tmp_path / "again")
    for folder in ("again", "once"):
        recognizer.save_pretrained(tmp_path / folder)
    again, once = ((tmp_path / name / "README.md").read_text() for name in ("again", "once"))
    assert again == once
    assert recognizer.result.store_fingerprint in again


def test_making_one_does_not_copy_the_weights(recognizer: Recognizer) -> None:
    def refuse(_: Any) -> None:
        raise AssertionError("copied")

    recognizer.model.method.__dict__["__deepcopy__"] = refuse
    assert Recognizer(recognizer.trained).model is recognizer.model
    del recognizer.model.method.__dict__["__deepcopy__"]


def test_push_and_pull(
    stored: Stored, recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub import HfApi, RepoUrl

    def create_repo(self: HfApi, repo_id: str, **_: Any) -> RepoUrl:
        return RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self: HfApi, *, repo_id: str, folder_path: Path, **_: Any) -> str:
        shutil.copytree(folder_path, tmp_path / repo_id)
        (tmp_path / repo_id / "weights.pt").write_bytes(pickle.dumps({}))
        return "done"

    def snapshot_download(repo_id: str, *, allow_patterns: list[str], **_: Any) -> str:
        got = tmp_path / "cache"
        got.mkdir()
        for path in (tmp_path / repo_id).iterdir():
            if path.name in allow_patterns:
                shutil.copy(path, got)
        return str(got)

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert recognizer.push_to_hub("someone/lights") == "done"
    opened = Recognizer.load("someone/lights")
    clips = stored[0].select("test_seen")
    assert opened.predict(clips) == recognizer.predict(clips)
    assert not (tmp_path / "cache" / "weights.pt").exists()


def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EzavError, match="cannot get 'someone/lights' from the hub"):
        Recognizer.from_pretrained("someone/lights", local_files_only=True, cache_dir=tmp_path)


def test_damaged_folders(recognizer: Recognizer, tmp_path: Path) -> None:
    recognizer.save_pretrained(tmp_path / "whole")
    for name in WRITTEN:
        folder = shutil.copytree(tmp_path / "whole", tmp_path / f"without {name}")
        (folder / name).unlink()
        with pytest.raises(EzavError):
            Recognizer.load(folder)
        (folder / name).write_text("{")
        with pytest.raises(EzavError):
            Recognizer.load(folder)
    for name, value in (("clips", float("inf")), ("temperature_", 0), ("temperature_", np.nan)):
        calibration = json.loads((tmp_path / "whole" / CALIBRATION).read_text())
        (folder / CALIBRATION).write_text(json.dumps({**calibration, name: value}))
        with pytest.raises(EzavError, match=r"calibration\.json' is damaged"):
            read_calibration(folder, 0.0)
    future = shutil.copytree(tmp_path / "whole", tmp_path / "future")
    result = json.loads((future / "result.json").read_text())
    (future / "result.json").write_text(json.dumps({**result, "version": 99}))
    with pytest.raises(EzavError, match="version 99"):
        Recognizer.load(future)


def test_what_is_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_id("someone/lights")
    for text in ("lights", "runs/lights", "a/b/c", "../lights", "~/lights", "a b/c", "/lights"):
        assert not is_hub_id(text)


def test_a_downloaded_run_imports_nothing_unasked(
    lights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ezav.recognizer.find.download", lambda *_, **__: lights[1])
    clip = lights[0] / "red light" / "0.mp4"
    for opened in (Recognizer.load("someone/x"), Recognizer.from_pretrained("someone/x")):
        with pytest.raises(RefusedError, match="is code that a file names"):
            opened.predict(clip)
    trusted = Recognizer.load("someone/x", import_code=True)
    assert trusted.predict(clip) == Recognizer.load(lights[1], import_code=True).predict(clip)
