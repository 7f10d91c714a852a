"""Promise: what a folder, a file or a download names is not imported (docs/concepts/trust.md).

Each attack names `subprocess:getoutput`, with a command that leaves a sign, or a module that
leaves one when it is imported.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ezav.cli.main import main
from ezav.errors import EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.manifest import MANIFEST
from ezav.protocol.run_folder import write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from ezav.training.config import TrainingConfig
from tests import worlds

CALL = "subprocess:getoutput"
REFUSED = "is code that a file names"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `store`, and a `run` of this very process: one's own, if any is."""
    folder = tmp_path_factory.mktemp("made")
    store = worlds.store(folder / "store")
    protocol = TwoStageProtocol(method="devise", training=TrainingConfig(epochs=1))
    write_run(protocol.fit(store), folder / "run")
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(made / "run", tmp_path / "run"))
    (folder / MANIFEST).unlink()  # as anyone can
    return folder


def _name_in_header(run: Path, sign: Path) -> None:
    header = json.loads((run / "store.json").read_text())
    for encoder in header["encoders"]:
        encoder.update(name=CALL, options=f"cmd=touch {sign}", revision="")
    (run / "store.json").write_text(json.dumps(header))


def _name_in_class_embeddings(run: Path, sign: Path) -> None:
    path = run / "text.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    metadata["encoder"] = CALL
    metadata["settings"] = json.dumps({"options": f"cmd=touch {sign}"})
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize("word", [False, True])
def test_a_call_in_the_header(word: bool, run: Path, tmp_path: Path) -> None:
    _name_in_header(run, tmp_path / "sign")
    with pytest.raises(EzavError, match=r"is no (audio|visual) encoder" if word else REFUSED):
        Recognizer.load(run, import_code=word).predict("clip.mp4")
    assert not (tmp_path / "sign").exists()


@pytest.mark.parametrize("word", [False, True])
def test_a_call_in_the_metadata_of_class_embeddings(
    word: bool, run: Path, made: Path, tmp_path: Path
) -> None:
    _name_in_class_embeddings(run, tmp_path / "sign")
    clips = FeatureStore.open(made / "store").select("test_seen")
    with pytest.raises(EzavError, match="is no text encoder" if word else REFUSED):
        Recognizer.load(run, import_code=word).predict(clips, classes=["a name it never saw"])
    assert not (tmp_path / "sign").exists()


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _name_in_header(run, tmp_path / "sign")
    (tmp_path / "clip.mp4").write_bytes(b"")
    for command in ("predict", "scan"):
        assert main([command, str(run), str(tmp_path / "clip.mp4")]) == 1
        told = capsys.readouterr().err
        assert REFUSED in told
        assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "sign").exists()


def test_a_folder_that_shadows_a_hub_id(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _name_in_header(run, tmp_path / "sign")
    (tmp_path / "owner").mkdir()
    run.rename(tmp_path / "owner" / "name")
    monkeypatch.chdir(tmp_path)
    for load in (Recognizer.load, Recognizer.from_pretrained):
        with pytest.raises(RefusedError, match=REFUSED):
            load("owner/name").predict("clip.mp4")
    assert not (tmp_path / "sign").exists()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sign that importing `leaves_a_sign` leaves."""
    sign = tmp_path / "sign"
    code = f"from pathlib import Path\nPath({str(sign)!r}).touch()\n"
    (tmp_path / "leaves_a_sign.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return sign


def test_a_method_that_a_result_names(run: Path, module: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    result["method"] = "leaves_a_sign:Method"
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(RefusedError, match=REFUSED):
        Recognizer.load(run)
    assert not module.exists()


@pytest.mark.parametrize("command", ["run", "bench", "tune"])
def test_a_method_that_a_recipe_names(
    command: str,
    made: Path,
    module: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe, store = str(tmp_path / "recipe.yaml"), str(made / "store")
    Path(recipe).write_text("method: leaves_a_sign:Method\nsource: mine\nsettings: {}\n")
    arguments = {
        "run": [recipe, store],
        "bench": [store, "--methods", recipe],
        "tune": [store, "--method", recipe, "--trials", "1"],
    }[command]
    assert main([command, *arguments, "--out", str(tmp_path / "out")]) == 1
    assert REFUSED in capsys.readouterr().err
    assert not module.exists()


def test_yaml_makes_no_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sign = tmp_path / "sign"
    (tmp_path / "recipe.yaml").write_text(f"!!python/object/apply:os.system ['touch {sign}']\n")
    assert main(["run", str(tmp_path / "recipe.yaml"), str(tmp_path)]) == 1
    assert "is not YAML" in capsys.readouterr().err
    assert not sign.exists()
