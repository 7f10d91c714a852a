"""The identity of an encoder covers every byte that it reads, and a run compares it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from ezav.encoders import identity, load_audio, load_text, load_visual
from ezav.encoders.registry import card
from ezav.errors import EzavError, UnavailableError
from ezav.extraction.plan import class_embeddings
from ezav.features.begin import check_same
from ezav.features.header import EncoderInfo, Header
from ezav.recognizer.encoders import RunEncoders
from tests.encoders import checkpoints


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.clip(tmp_path_factory.mktemp("made") / "clip-vit-base-patch32")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def _of(kind: str, folder: Path) -> str:
    # Named as one would who keeps a name while the files change.
    options = {"source": str(folder), "revision": "same"}
    made = load_visual("clip", **options) if kind == "visual" else load_text("clip", **options)
    return made.card.identity


def _entry(name: str, key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        content[key] = value
        (folder / name).write_text(json.dumps(content))

    return change


def _a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _two_words(folder: Path) -> None:
    path = folder / "tokenizer.json"
    text = path.read_text().replace('"dog": 7', '"dog": 8').replace('"barking": 8', '"barking": 7')
    assert text != path.read_text()
    path.write_text(text)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (_a_weight, {"visual", "text"}),
        (_two_words, {"text"}),
        (_entry("preprocessor_config.json", "image_mean", [0.5, 0.5, 0.5]), {"visual"}),
        (_entry("config.json", "note", "x"), {"visual", "text"}),
        (lambda folder: (folder / "README.md").write_text("x"), set()),
    ],
    ids=["weights", "tokenizer", "preprocessing", "architecture", "a file that nobody reads"],
)
def test_a_changed_file_is_another_encoder(
    folder: Path, change: Callable[[Path], None], changed: set[str]
) -> None:
    before = {kind: _of(kind, folder) for kind in ("visual", "text")}
    assert all(len(one) == len("sha256:") + 64 for one in before.values())
    change(folder)
    after = {kind: _of(kind, folder) for kind in ("visual", "text")}
    assert {kind for kind in before if before[kind] != after[kind]} == changed


def test_identities_do_not_change_with_versions_of_ezav() -> None:
    """As runs have them: computed here by hand from what is published."""
    pictures = {
        "crop": [224, 224],
        "exact": None,
        "factor": 1 / 255,
        "mean": [0.498] * 3,
        "resample": "bicubic",
        "shortest": 224,
        "std": [0.502] * 3,
    }
    weights = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    text = json.dumps({"files": {"weights": weights}, "settings": pictures}, sort_keys=True)
    told = hashlib.sha256(text.replace(", ", ",").replace(": ", ":").encode()).hexdigest()
    assert load_visual("efficientnet").card.identity == f"sha256:{told}"
    assert card("visual", "efficientnet").identity == f"sha256:{told}"
    assert load_audio("statistics").card.identity == (
        "sha256:296128edf627312cbdbd7d6b3b371ed361004f128ec84fa58af54f320fca44e1"
    )
    assert load_text("minilm").card.identity == (
        "sha256:aa458718de1fec07cedc617d4292e356d32b0871e3fab93dc74a684d2ac2f5b0"
    )


def test_a_large_file_is_read_once_until_it_changes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(identity._LARGE))
    read: list[Path] = []
    real = identity.digest
    monkeypatch.setattr(identity, "digest", lambda p: read.append(p) or real(p))
    first = identity.sha256_of(path)
    identity._sha256.cache_clear()  # as another process
    assert identity.sha256_of(path) == first == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(read) == 1
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as one would who hides it
    assert identity.sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest() != first
    for kept in (cache / "digests").iterdir():
        kept.write_text("no digest")
    identity._sha256.cache_clear()
    assert identity.sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def _run(revision: str, told: str) -> RunEncoders:
    one = EncoderInfo(
        modality="visual", name="statistics", revision=revision, identity=told, dimension=84
    )
    return RunEncoders(Header(dataset="x", encoders=(one,)), None)


def test_a_run_takes_its_encoder_and_no_other() -> None:
    here = card("visual", "statistics")
    assert _run(here.revision, here.identity).visual.card == here
    for revision, told in ((here.revision, "sha256:" + "0" * 64), ("", here.identity), ("", "")):
        with pytest.raises(UnavailableError, match="is not the one here"):
            _ = _run(revision, told).visual
    with pytest.warns(UserWarning, match="nothing says the full digest of the run's visual"):
        assert _run(here.revision, "").visual.card == here


def test_class_embeddings_say_their_text_encoder() -> None:
    [found] = class_embeddings(["dog"], "minilm")
    assert found.settings["identity"] == load_text("minilm").card.identity
    run = RunEncoders(Header(dataset="x"), found)
    assert len(run.texts) == 1
    changed = found.with_vectors(found.vectors, identity="sha256:00")
    with pytest.raises(UnavailableError, match="tokenizer or preprocessing are others"):
        _ = RunEncoders(Header(dataset="x"), changed).texts


def test_a_store_of_before_is_continued_and_another_encoder_is_not(tmp_path: Path) -> None:
    def header(told: str) -> Header:
        one = EncoderInfo(modality="visual", name="x", revision="1", identity=told, dimension=1)
        return Header(dataset="x", encoders=(one,))

    check_same(header(""), header("sha256:00"), tmp_path)
    check_same(header("sha256:00"), header(""), tmp_path)
    check_same(header("sha256:00"), header("sha256:00"), tmp_path)
    with pytest.raises(EzavError, match="another encoder"):
        check_same(header("sha256:00"), header("sha256:01"), tmp_path)
