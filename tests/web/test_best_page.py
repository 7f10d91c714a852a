"""The page of a run of `best`, the default of `ezav run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ezav.features import FeatureStore
from ezav.protocol.run_folder import write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from tests.web.conftest import Page
from tests.web.test_server import _call, _upload


def test_its_page_answers_as_python_does(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    store = FeatureStore.open(run_folder.parent / "store")
    write_run(TwoStageProtocol(method="best").fit(store), tmp_path / "run")
    recognizer = Recognizer.load(tmp_path / "run", import_code=True)
    clip = run_folder.parent / "clip.mp4"
    with serving(recognizer, WebSettings(port=0, max_seconds=10, max_megabytes=1), []) as address:
        page = Page(address, recognizer, tmp_path, set())
        told = _call(page, [_upload(page, clip), "red light\na lamp that nobody has seen"])
    (found,) = json.loads(told.split("data: ", 1)[1])
    (wanted,) = recognizer.predict(clip, ["red light", "a lamp that nobody has seen"])
    assert [one["name"] for one in found["ranked"]] == [one.name for one in wanted.ranked]
    for shown, one in zip(found["ranked"], wanted.ranked, strict=True):
        assert shown["probability"] == pytest.approx(one.probability, abs=1e-4)
