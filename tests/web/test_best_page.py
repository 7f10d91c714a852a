"""The page of a run of `best`, the default of `ezav run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ezav.recognizer import Recognizer
from tests.web.asking import predict


def test_its_page_answers_as_python_does(run_folder: Path, best_run: Path) -> None:
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    recognizer = Recognizer.load(best_run, import_code=True)
    clip = run_folder.parent / "clip.mp4"
    names = ["red light", "a lamp that nobody has seen"]
    with serving(recognizer, WebSettings(port=0, max_seconds=10, max_megabytes=1), []) as address:
        found = predict(address, clip, names)
    (wanted,) = recognizer.predict(clip, names)
    assert [one["name"] for one in found["ranked"]] == [one.name for one in wanted.ranked]
    for shown, one in zip(found["ranked"], wanted.ranked, strict=True):
        assert shown["probability"] == pytest.approx(one.probability, abs=1e-4)
