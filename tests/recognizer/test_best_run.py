"""A run of `best`, the default of `ezav run`: it recognises, is inspected, exported and served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.cli.main import main
from ezav.export import export
from ezav.export.export import ONNX
from ezav.features import FeatureStore
from ezav.methods.best.method import Best
from ezav.protocol.run_folder import read_result, write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from tests.recognizer import small_run

NEW = "a lamp that nobody has seen"


@pytest.fixture(scope="module")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, Path]:
    folder = tmp_path_factory.mktemp("best")
    store = small_run.feature_store(folder / "store")
    write_run(TwoStageProtocol(method="best").fit(store), folder / "run")
    return store, folder / "run"


@pytest.fixture(scope="module")
def light_run(lights: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = FeatureStore.open(lights[0].parent / "store")
    run = tmp_path_factory.mktemp("best-lights") / "run"
    write_run(TwoStageProtocol(method="best").fit(store), run)
    return run


def test_videos_are_recognised_also_by_names_never_seen(
    lights: tuple[Path, Path], light_run: Path
) -> None:
    recognizer = Recognizer.load(light_run, import_code=True)
    assert isinstance(recognizer.model.method, Best)
    videos = [lights[0] / name / "0.mp4" for name in sorted(small_run.COLOURS)]
    said = recognizer.predict(videos)
    right = [one.best.name == video.parent.name for one, video in zip(said, videos, strict=True)]
    assert sum(right) >= 6  # of eight
    (typed,) = recognizer.predict(videos[:1], ["blue light", NEW])
    assert {one.name for one in typed.ranked} == {"blue light", NEW}
    assert typed.best.name == "blue light"


def test_inspect_shows_its_classes_and_refuses_its_clips_in_one_line(
    stored_run: tuple[FeatureStore, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, run = stored_run
    assert main(["inspect", str(run), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    recalls = {one["name"]: one["recall"] for one in shown["classes"]}
    assert recalls == {one.name: one.recall for one in read_result(run).per_class}
    assert main(["inspect", str(run), "--store", str(store.path)]) == 1
    told = capsys.readouterr().err
    assert "'best' does not attend token by token" in " ".join(told.split())
    assert "Traceback" not in told


def test_its_export_scores_as_it_does(
    stored_run: tuple[FeatureStore, Path], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    store, run = stored_run
    recognizer = Recognizer.load(run)
    clips = store.select("test_seen", "test_unseen")
    made = export(recognizer, tmp_path / "out", None, clips)
    session = onnxruntime.InferenceSession(made.folder / ONNX)
    rows, classes = torch.arange(len(clips)), recognizer.model.classes
    feed = {"class_embeddings": classes.vectors.numpy(), "seen": recognizer.model.seen.numpy()}
    parts = [one.gather(rows, pooled=True) for one in (clips.audio, clips.visual)]
    for name, tokens in zip(("audio", "visual"), parts, strict=True):
        feed[name], feed[f"{name}_mask"] = tokens.values.numpy(), tokens.mask.numpy()
        feed[f"{name}_times"] = tokens.times.numpy()
    (scores,) = session.run(["scores"], feed)
    with torch.no_grad():
        wanted = recognizer.model.method.scores(*parts, classes.vectors)
    wanted -= read_result(run).gamma * recognizer.model.seen
    assert np.abs(scores - wanted.numpy()).max() < 1e-4
