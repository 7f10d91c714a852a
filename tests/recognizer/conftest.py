"""One small run of each kind for all tests of the recogniser."""

from __future__ import annotations

from pathlib import Path

import pytest

from ezav.features import FeatureStore
from ezav.protocol import calibration
from ezav.recognizer import Recognizer
from tests.recognizer import small_run


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, Path]:
    """A store of pooled random features, and a run on raw class embeddings."""
    folder = tmp_path_factory.mktemp("stored")
    store = small_run.feature_store(folder / "store")
    return store, small_run.train(store, folder / "run")


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, Path]:
    """A store with six tokens a clip, and a run that uses time."""
    folder = tmp_path_factory.mktemp("timed")
    store = small_run.feature_store(folder / "store", tokens=6)
    return store, small_run.train(store, folder / "run", temporal=True)


@pytest.fixture(scope="session")
def lights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of generated videos, and a run on their features."""
    folder = tmp_path_factory.mktemp("lights")
    store = small_run.media_store(folder / "store", folder / "videos")
    return folder / "videos", small_run.train(store, folder / "run")


@pytest.fixture(scope="session")
def sure(lights: tuple[Path, Path]) -> Recognizer:
    """A recogniser of the same videos that knows them all."""
    store = FeatureStore.open(lights[0].parent / "store")
    return small_run.sure_recognizer(lights[1], store)


@pytest.fixture
def recognizer(stored: tuple[FeatureStore, Path]) -> Recognizer:
    return Recognizer.load(stored[1])


@pytest.fixture(autouse=True)
def _percentages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small runs have too few clips for percentages; here they are given all the same."""
    monkeypatch.setattr(calibration, "LEAST_CLIPS", 1)
    monkeypatch.setattr(calibration, "MOST_ECE", 1.0)
