"""Code that data names is imported with the caller's word only (docs/concepts/trust.md)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ezav
from ezav.cli.main import main
from ezav.encoders.registry import accepted, load, load_text, load_visual
from ezav.errors import EzavError, RefusedError
from ezav.manifest import MANIFEST
from ezav.methods import registry
from ezav.recognizer import Recognizer
from tests.web.asking import predict

MODULE = "own_code_of_a_test"
METHOD = f"{MODULE}:LinearToText"
REFUSED = "is code that a file names"
DOC = Path(__file__).parents[2] / "docs" / "tutorials" / "own-method.md"


@pytest.fixture(scope="module")
def own(lights: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a `run` of a method of one's own on features of encoders of one's own."""
    folder = tmp_path_factory.mktemp("own")
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    (folder / f"{MODULE}.py").write_text(code)
    (folder / "recipe.yaml").write_text(f"method: {METHOD}\nsource: mine\nsettings: {{}}\n")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(folder)
    store, run = str(lights[0].parent / "store"), str(folder / "run")
    assert main(["run", METHOD, store, "--out", run, "--training.epochs", "2"]) == 0
    yield folder
    patch.undo()


@pytest.fixture(autouse=True)
def not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


def _commands(own: Path, videos: Path, out: Path) -> dict[str, list[str]]:
    clip, run, recipe = (str(p) for p in (videos / "red light" / "0.mp4", own / "run", own))
    store, recipe = str(videos.parent / "store"), str(own / "recipe.yaml")
    short = ["--epochs", "1", "--seeds", "1", "--processes", "1"]
    return {
        "predict": [run, clip],
        "scan": [run, clip],
        "export": [run, "--out", str(out / "made"), "--clips", clip],
        "inspect": [run, "--store", store],
        "run": [recipe, store, "--out", str(out / "again"), "--training.epochs", "1"],
        "bench": [store, "--methods", recipe, "--out", str(out / "bench"), *short],
        "tune": [store, "--method", recipe, "--trials", "1", "--out", str(out / "tune"), *short],
    }


@pytest.mark.parametrize(
    "command", ["predict", "scan", "export", "inspect", "run", "bench", "tune"]
)
def test_a_method_that_data_names_needs_the_word(
    command: str,
    own: Path,
    lights: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [command, *_commands(own, lights[0], tmp_path)[command]]
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert f"the method '{METHOD}' {REFUSED}" in told
    assert told.endswith("; if you trust it, say --import\n")
    assert len(told.splitlines()) == 1
    assert MODULE not in sys.modules
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    status = main([*arguments, "--import"])
    assert MODULE in sys.modules
    if command == "inspect":  # it was read; token by token is something else
        assert "does not attend token by token" in capsys.readouterr().err
    else:
        assert status == 0, capsys.readouterr().err


def test_ablations_import_no_method(
    own: Path, lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, recipe = str(lights[0].parent / "store"), str(own / "recipe.yaml")
    assert main(["ablate", store, "--recipe", recipe, "--out", str(tmp_path)]) == 1
    assert "is of a method of one's own; ablations are those of ez_avgzl" in capsys.readouterr().err
    assert MODULE not in sys.modules


@pytest.mark.parametrize("command", ["predict", "scan", "export"])
def test_an_encoder_that_data_names_needs_the_word(
    command: str, lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, run = lights
    arguments = [command, *_commands(run.parent, videos, tmp_path)[command]]
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert re.search(rf"tiny_encoders:(Bands|Colour)' {REFUSED}", told.err)
    assert main([*arguments, "--import"]) == 0


def test_stored_features_need_no_encoder_and_so_no_word(lights: tuple[Path, Path]) -> None:
    clips = ezav.FeatureStore.open(lights[0].parent / "store").select("test_seen")
    trusted = Recognizer.load(lights[1], import_code=True)
    assert Recognizer.load(lights[1]).predict(clips) == trusted.predict(clips)


def test_the_page_serves_a_method_and_encoders_of_ones_own_with_the_word(
    own: Path, lights: tuple[Path, Path]
) -> None:
    pytest.importorskip("starlette", reason="not installed: pip install 'ezav[web]'")
    places = os.pathsep.join([str(own), str(Path(__file__).parents[2]), *sys.path])
    serve = [sys.executable, "-m", "ezav", "serve", str(own / "run"), "--port", "0"]
    options: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": places}, "text": True}
    refused = subprocess.run(serve, capture_output=True, timeout=600, **options)
    assert refused.returncode == 1
    assert REFUSED in refused.stderr
    with subprocess.Popen([*serve, "--import"], stderr=subprocess.PIPE, **options) as process:
        assert process.stderr is not None
        (address,) = re.findall(r"http://\S+", process.stderr.readline())
        clip = lights[0] / "red light" / "0.mp4"
        found = predict(address, clip, ["red light", "blue light"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=600) == 0
    wanted = Recognizer.load(own / "run", import_code=True).predict(
        clip, ["red light", "blue light"]
    )[0]
    assert [one["name"] for one in found["ranked"]] == [one.name for one in wanted.ranked]
    assert found["ranked"][0]["score"] == pytest.approx(wanted.ranked[0].score, abs=1e-4)


class Careless:
    """It counts how often one is made."""

    made = 0

    def __init__(self) -> None:
        Careless.made += 1


class Encodes(Careless):
    """A class with `encode` whose card never comes."""

    def encode(self, names: list[str]) -> list[str]:
        return names


def _factory() -> Any:
    Careless.made += 1
    return load_text("minilm")


@pytest.mark.parametrize("name", ["_factory", "Careless", "REFUSED"])
def test_with_the_word_nothing_but_a_class_that_encodes_is_called(name: str) -> None:
    Careless.made = 0
    path = f"{__name__}:{name}"
    for call in (load, accepted):
        with pytest.raises(EzavError, match=f"'{path}' is no text encoder"):
            call("text", path, import_code=True)
    with pytest.raises(EzavError, match="not a subclass of"):
        registry.get(path, import_code=True)
    assert Careless.made == 0


def test_what_encodes_without_a_card_is_refused_after_all() -> None:
    with pytest.raises(EzavError, match="Encodes' is no text encoder"):
        load("text", f"{__name__}:Encodes", import_code=True)


def test_a_function_is_called_where_the_caller_typed_it() -> None:
    assert load_text(f"{__name__}:_factory").card.name == "minilm"


@pytest.mark.parametrize("kind", ["visual", "audio", "text"])
def test_options_of_a_file_cannot_give_the_word(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=REFUSED):
        load(kind, "subprocess:getoutput", {"cmd": "true", "import_code": True}, import_code=False)


def test_a_function_of_the_library_that_a_shared_run_names_is_never_called(
    lights: tuple[Path, Path], tmp_path: Path
) -> None:
    sign = tmp_path / "ran"
    trained = Recognizer.load(lights[1]).trained
    Recognizer.load(lights[1]).save_pretrained(tmp_path / "run")
    header = json.loads(trained.header.model_dump_json())
    for encoder in header["encoders"]:
        encoder.update(name="subprocess:getoutput", options=f"cmd=touch {sign}", revision="")
    (tmp_path / "run" / MANIFEST).unlink()
    (tmp_path / "run" / "store.json").write_text(json.dumps(header))
    clip = lights[0] / "red light" / "0.mp4"
    with pytest.raises(RefusedError, match=REFUSED):
        Recognizer.load(tmp_path / "run").predict(clip)
    with pytest.raises(EzavError, match="is no visual encoder"):
        Recognizer.load(tmp_path / "run", import_code=True).predict(clip)
    assert not sign.exists()


@pytest.mark.parametrize(
    "path", [":", "a:", ":b", "a b:c", "../a:b", "a:b.c", "a:b()", "os:path:x"]
)
def test_what_is_no_import_path_is_said(path: str) -> None:
    with pytest.raises(EzavError, match=r"cannot import .*; write package.module:Name"):
        load_visual(path)


def test_a_module_that_fails_while_it_is_imported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_own_code.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EzavError, match=r"cannot import .*: ZeroDivisionError: division by zero"):
        registry.get("failing_own_code:Thing", import_code=True)
