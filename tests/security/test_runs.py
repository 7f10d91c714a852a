"""Promises: a run takes what its size allows, and what changed after it was written is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ezav.cli.main import main
from ezav.errors import DamagedError, EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.manifest import MANIFEST, digest, read_manifest
from ezav.protocol.run_folder import read_evaluation_file, read_model, read_result, write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.protocol.verify import verify_run
from ezav.recognizer import Recognizer
from ezav.small_files import parse_yaml
from ezav.training.config import TrainingConfig
from tests import worlds
from tests.security.limits import answer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    store = worlds.store(folder / "store")
    protocol = TwoStageProtocol(method="devise", training=TrainingConfig(epochs=1))
    write_run(protocol.fit(store), folder / "run")
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


FILES = (
    "result.json",
    "weights.safetensors",
    "class_embeddings.safetensors",
    "text.safetensors",
    "store.json",
    "calibration.json",
)


def _flip(path: Path) -> None:
    """Change a byte of numbers, or of JSON one that leaves it JSON."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".safetensors":
        data[-3] ^= 1
    else:
        data += b"\n"
    path.write_bytes(bytes(data))


def test_the_manifest_has_every_file(run: Path) -> None:
    others = {path.name: digest(path) for path in run.iterdir() if path.name != MANIFEST}
    assert read_manifest(run) == others
    assert set(FILES) < set(others)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(name: str, run: Path) -> None:
    _flip(run / name)
    with pytest.raises(DamagedError, match=f"changed after it was written: '{name}'"):
        Recognizer.load(run)


@pytest.mark.parametrize(
    "name",
    [*FILES, "validation.safetensors", "test.safetensors", "config.yaml", "metrics.jsonl"],
)
def test_verify_names_a_changed_file(
    name: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(run)]) == 0
    assert "sound" in capsys.readouterr().out
    _flip(run / name)
    assert verify_run(run).problems == (f"'{name}' is not what was written",)
    assert main(["verify", str(run)]) == 1
    assert f"wrong: '{name}' is not what was written" in capsys.readouterr().out


def test_another_gamma_is_noticed(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "gamma": result["gamma"] + 1}))
    with pytest.raises(DamagedError, match=r"written: .result\.json"):
        read_result(run)


def test_a_run_of_before_opens(run: Path, made: Path) -> None:
    (run / MANIFEST).unlink()
    assert Recognizer.load(run).classes == Recognizer.load(made).classes
    assert verify_run(run).files is None
    assert verify_run(run).sound


def test_metrics_that_the_scores_do_not_give_are_no_card(run: Path, tmp_path: Path) -> None:
    (run / MANIFEST).unlink()
    result = json.loads((run / "result.json").read_text())
    result["metrics"]["HM"] = 0.999
    (run / "result.json").write_text(json.dumps(result))
    (problem,) = verify_run(run).problems
    assert "its result says 0.9990" in problem
    with pytest.raises(DamagedError, match="gives HM"):
        Recognizer.load(run).save_pretrained(tmp_path / "shared")


def test_a_card_says_whose_word_its_numbers_are(run: Path, tmp_path: Path) -> None:
    Recognizer.load(run).save_pretrained(tmp_path / "shared")
    assert "computed from the scores of the run" in (tmp_path / "shared/README.md").read_text()
    Recognizer.load(tmp_path / "shared").save_pretrained(tmp_path / "again")
    assert "As stated by its author" in (tmp_path / "again/README.md").read_text()
    assert verify_run(tmp_path / "again").sound


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "text.safetensors", "calibration.json", "result.json"]
)
def test_a_changed_file_of_a_shared_recogniser_is_refused(
    name: str, run: Path, tmp_path: Path
) -> None:
    Recognizer.load(run).save_pretrained(tmp_path / "shared")
    _flip(tmp_path / "shared" / name)
    with pytest.raises(DamagedError, match=f"changed after it was written: '{name}'"):
        Recognizer.load(tmp_path / "shared")


def _dims(text: object = 1 << 20) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        dims = {"audio": 1 << 20, "visual": 1 << 20, "text": text}
        save_file({}, run / "weights.safetensors", {"dims": json.dumps(dims)})

    return change


def _method(name: str, **config: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, "method": name, "config": config}))
        dims = {"audio": 10, "visual": 12, "text": 8}
        save_file({}, run / "weights.safetensors", {"dims": json.dumps(dims)})

    return change


def _deep(run: Path) -> None:
    (run / "result.json").write_text("[" * 200_000)


@pytest.mark.parametrize(
    ("attack", "refused"),
    [
        (_dims(), "far larger than its weights"),
        (_dims("8"), "its dimensions are no numbers"),
        (_dims(10**400), "its dimensions are no numbers"),
        (_method("ez_avgzl", width=1 << 19, hidden=1 << 19), "far larger than its weights"),
        (_deep, "nested too deeply"),
    ],
)
def test_a_run_takes_what_its_size_allows(
    attack: Callable[[Path], None], refused: str, run: Path
) -> None:
    (run / MANIFEST).unlink()
    attack(run)
    told = answer(f"from ezav.protocol.run_folder import read_model\nread_model({str(run)!r})")
    assert told.startswith(("RefusedError: ", "DamagedError: ", "EzavError: ", "NotFoundError: "))
    assert refused in told
    assert len(told.splitlines()) == 1


def test_scores_that_do_not_fit_their_names_are_refused(run: Path) -> None:
    (run / MANIFEST).unlink()
    path = run / "test.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    good = load_file(path)
    for name, value in (
        ("targets", good["targets"] + 1000),
        ("targets", good["targets"][:-1]),
        ("targets", good["targets"].float()),
        ("scores", good["scores"][:, :-1]),
        ("seen", good["seen"].long()),
    ):
        save_file({**good, name: value.contiguous()}, path, metadata)
        with pytest.raises(DamagedError, match="cannot read"):
            read_evaluation_file(path)


@pytest.mark.parametrize("names", ["[" * 100_000, "{", "null"])
def test_names_that_are_no_names_are_an_error_of_the_user(names: str, run: Path) -> None:
    (run / MANIFEST).unlink()
    path = run / "class_embeddings.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({"vectors": torch.eye(2)}, path, {**metadata, "names": names})
    with pytest.raises(EzavError):
        read_model(run)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
)


def test_a_number_of_yaml_is_no_longer_than_numbers_are() -> None:
    with pytest.raises(ValueError, match=r"a number of 999,999 digits"):
        parse_yaml(f"{{a: {':'.join('1' * 500_000)}}}")


@pytest.mark.parametrize("tagged", ["!!timestamp x", "!!bool x", "!!int ''", "2001-13-45"])
def test_a_value_that_its_tag_does_not_fit_is_no_yaml(tagged: str) -> None:
    with pytest.raises(ValueError, match=r"kind that its tag says|month must be"):
        parse_yaml(f"{{a: {tagged}}}")


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "&a [*a]", "[" * 5000, "{a: " * 5000])
def test_a_recipe_stands_for_what_it_has(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stands for more|nested too deeply"):
        parse_yaml(text)
    (tmp_path / "recipe.yaml").write_text(text)
    told = answer(
        "from ezav.recipes.recipe import load_recipe\n"
        f"load_recipe({str(tmp_path / 'recipe.yaml')!r})"
    )
    assert told.startswith("DamagedError: ")


def test_a_refusal_of_one_manifest_is_one_line(run: Path) -> None:
    (run / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(DamagedError, match="nested too deeply"):
        read_result(run)
    (run / MANIFEST).write_text('{"version": 1, "sha256": {}}')
    with pytest.raises(DamagedError, match=r"result\.json. is not in the manifest"):
        read_result(run)


def test_a_run_is_not_written_through_a_link(made: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "outside")
    protocol = TwoStageProtocol(method="devise", training=TrainingConfig(epochs=1))
    fitted = protocol.fit(FeatureStore.open(made.parent / "store"))
    with pytest.raises(RefusedError, match="it is a link"):
        write_run(fitted, tmp_path / "run")
    assert not any((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("command", ["bench", "ablate"])
def test_runs_of_a_shared_folder_are_not_written_through_its_links(
    command: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs").symlink_to(tmp_path / "outside")
    methods = ["--methods", "eszsl"] if command == "bench" else []
    out = ["--out", str(tmp_path / "out"), "--seeds", "1", "--epochs", "1"]
    assert main([command, str(made.parent / "store"), *methods, *out]) == 1
    assert "it is a link" in capsys.readouterr().err
    assert not any((tmp_path / "outside").iterdir())


def test_a_larger_network_is_refused_while_it_is_made(run: Path) -> None:
    from ezav.protocol.skeleton import refuse_larger

    def endless() -> torch.nn.Module:
        return torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(10**12)))

    with pytest.raises(RefusedError, match="far larger than its weights"):
        refuse_larger(endless, 100, 1)


def test_a_header_that_is_no_text_is_told(run: Path) -> None:
    header = run / "store.json"
    header.write_bytes(header.read_bytes().replace(b'"', b'"\xc3', 1))
    (run / MANIFEST).unlink()  # whoever changes a file can write that anew
    with pytest.raises(DamagedError, match="not the header of a feature store"):
        Recognizer.load(run)
