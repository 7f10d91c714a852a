"""Promise: writing into a folder of others changes nothing outside, whatever lies in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ezav.benchmarks.bench import write_tables
from ezav.benchmarks.runner import Job, run_jobs
from ezav.benchmarks.study import alone_in, open_study
from ezav.errors import EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.protocol import TwoStageProtocol, read_result
from ezav.protocol.run_folder import checkpoint_of, write_run
from ezav.recognizer import Recognizer
from ezav.recognizer.event_files import write_events
from ezav.recognizer.events import Event
from ezav.reports import write_report
from ezav.signing import new_key, sign
from ezav.training.config import TrainingConfig
from tests import worlds
from tests.security.test_stores import _outside, _plant

KINDS = ("link to a file", "link to nothing", "link to a folder", "hard link", "folder", "pipe")
PROTOCOL = TwoStageProtocol(method="devise", training=TrainingConfig(epochs=1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_run(PROTOCOL.fit(worlds.store(folder / "store")), folder / "run")
    new_key(folder / "key")
    return folder


def _save(made: Path, out: Path) -> None:
    Recognizer.load(made / "run").save_pretrained(out)


def _sign(made: Path, out: Path) -> None:
    _save(made, out)
    sign(out, made / "key")


def _run(made: Path, out: Path) -> None:
    store = FeatureStore.open(made / "store")
    write_run(PROTOCOL.fit(store, checkpoint=checkpoint_of(out / "run")), out / "run")


def _bench(made: Path, out: Path) -> None:
    jobs = [Job(protocol=PROTOCOL, store=made / "store", folder=out / "seed-0", label="ours")]
    results = run_jobs(jobs, processes=1)
    write_tables(results, FeatureStore.open(made / "store"), out)


def _tables(made: Path, out: Path) -> None:
    write_tables([read_result(made / "run")], FeatureStore.open(made / "store"), out)


def _events(made: Path, out: Path) -> None:
    dog = Event(start=1.0, end=2.0, name="dog", kind="new", probability=0.5, score=-1.0)
    for ending in ("json", "csv", "vtt", "srt"):
        write_events([dog], out / f"events.{ending}")


def _embeddings(made: Path, out: Path) -> None:
    FeatureStore.open(made / "store").class_embeddings().save(out / "classes.safetensors")


def _search(made: Path, out: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'ezav[tune]'")
    with alone_in(out):
        open_study(out).set_user_attr("key", "x")


WRITERS = {
    one.__name__: one
    for one in (_save, _sign, _run, _bench, _tables, _events, _embeddings, _search)
}


@cache
def _names(writer: Callable[[Path, Path], None], made: Path) -> tuple[str, ...]:
    """What a writer leaves in an empty folder, and what it may make on the way."""
    out = made / f"clean{writer.__name__}"
    out.mkdir()
    writer(made, out)
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    beside = (".run.part", ".run.checkpoint", ".seed-0.checkpoint", "tune.sqlite3-journal")
    return (*left, *beside, "tune.sqlite3-wal")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(WRITERS)))
def test_nothing_outside_changes(
    data: st.DataObject, name: str, made: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    writer = WRITERS[name]
    places = st.sampled_from(_names(writer, made))
    planted = data.draw(st.dictionaries(places, st.sampled_from(KINDS), min_size=1, max_size=4))
    root = tmp_path_factory.mktemp("planted")
    outside, out = root / "outside", root / "out"
    for folder in (outside, out):
        folder.mkdir()
    (outside / "file").write_bytes(b"mine")
    for place, kind in sorted(planted.items()):
        with contextlib.suppress(FileExistsError):  # something else is planted there
            (out / place).parent.mkdir()
        _plant(out / place, kind, outside)
    before = _outside(outside)
    with contextlib.suppress(EzavError, OSError):
        writer(made, out)
    assert _outside(outside) == before, planted


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "hard link"])
def test_a_report_changes_nothing_outside(kind: str, made: Path, tmp_path: Path) -> None:
    outside, clean, out = (tmp_path / name for name in ("outside", "clean", "out"))
    for folder in (outside, out):
        folder.mkdir()
    (outside / "file").write_bytes(b"mine")
    write_report([made / "run"], clean / "report.html", clean / "figures")
    names = sorted(path.relative_to(clean) for path in clean.rglob("*") if path.is_file())
    assert len(names) > 5
    for name in names:
        (out / name).parent.mkdir(exist_ok=True)
        _plant(out / name, kind, outside)
    before = _outside(outside)
    with contextlib.suppress(EzavError, OSError):
        write_report([made / "run"], out / "report.html", out / "figures")
    assert _outside(outside) == before


@pytest.mark.parametrize("name", ["tune.sqlite3", "tune.sqlite3-journal"])
def test_a_search_follows_no_link(name: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'ezav[tune]'")
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_bytes(b"")
    os.symlink(tmp_path / "mine", tmp_path / "out" / name)
    with pytest.raises(RefusedError, match="it is a link"):
        open_study(tmp_path / "out")
    assert (tmp_path / "mine").read_bytes() == b""
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / "tune.sqlite3-wal").mkdir()
    with pytest.raises(RefusedError, match="it is no file"):
        open_study(tmp_path / "out")
