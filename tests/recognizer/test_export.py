"""Exported graphs against the method's own scores; the example runs without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ezav
from ezav.cli.export import ExportCommand
from ezav.errors import EzavError
from ezav.export import Exported, export
from ezav.export.export import ONNX, PROGRAM, RECORD
from ezav.export.graph import INPUTS, Graph
from ezav.export.parity import compare, random_batch, reference
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.methods import registry
from ezav.methods.base import Dims
from ezav.methods.ez_avgzl.method import EzAvgzl, EzAvgzlConfig
from ezav.protocol.evaluation import StageModel
from ezav.recognizer import Recognizer

Stored = tuple[FeatureStore, Path]
SMALL = {"width": 16, "hidden": 16, "heads": 2, "head_dim": 8, "mlp": 8}


def _with_method(recognizer: Recognizer, method: Any) -> Recognizer:
    model = StageModel(method.eval(), recognizer.model.classes, recognizer.model.seen)
    return Recognizer(replace(recognizer.trained, model=model))


def _untrained(config: EzAvgzlConfig, recognizer: Recognizer) -> EzAvgzl:
    dims = recognizer.model.method.dims
    method = EzAvgzl(config, Dims(audio=dims.audio, visual=dims.visual, text=dims.text))
    draw = torch.Generator().manual_seed(0)
    for name, value in method.named_buffers():
        if name.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=draw) + 0.5)
        elif name.endswith(("running_mean", "standardize.mean")):
            value.copy_(torch.randn(value.shape, generator=draw))
    return method


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"layers": 3, "temporal": True},
        {"similarity": "decoder", "temporal": True},
        {"similarity": "cosine"},
        {"norm": "layer", "modalities": "audio"},
        {"modalities": "visual", "temporal": True, "layers": 0},
    ],
    ids=str,
)
def test_the_graph_is_the_method(config: dict[str, Any], recognizer: Recognizer) -> None:
    method = _untrained(EzAvgzlConfig(**SMALL, **config), recognizer)
    graph = Graph(method, recognizer.calibration)
    inputs = [
        random_batch(method.dims, shape, seed)
        for seed, shape in enumerate([(4, 3, 5, 6), (1, 1, 1, 1), (3, 1, 2, 4), (2, 6, 1, 3)])
    ]
    with torch.no_grad():
        assert compare("torch", graph, lambda one: graph(*one), inputs).scores < 1e-4


def test_comparing_finds_a_wrong_graph(recognizer: Recognizer) -> None:
    graph = Graph(recognizer.model.method, recognizer.calibration)
    inputs = [random_batch(recognizer.model.method.dims, (3, 1, 1, 4), 0)]

    def wrong(one: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        scores, probabilities = reference(graph, one)
        return [scores + 0.01, probabilities]

    with pytest.raises(EzavError, match=r"differs from torch by 0\.01"):
        compare("wrong", graph, wrong, inputs)


@pytest.fixture(scope="module")
def exported(
    timed: Stored, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recognizer, Path, Exported]:
    """A temporal run, the folder it was exported to, and what the command said."""
    store, run = timed
    out = tmp_path_factory.mktemp("export") / "out"
    command = ExportCommand(
        run_folder=str(run), out=out, store=store.path, classes=NAMES, json=True
    )
    return Recognizer.load(run), out, command.run()


NAMES = ("a walrus", "Dog barking", "chopping wood")


def _said(folder: Path) -> list[str]:
    """What the example prints; any import of torch would end it."""
    code = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(folder / "example.py")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_temporal_run_exported_and_run_without_torch(
    timed: Stored, exported: tuple[Recognizer, Path, Exported]
) -> None:
    recognizer, out, told = exported
    assert {one.runtime for one in told.parity} == {"ONNX Runtime", "torch.export"}
    assert all(one.scores < 1e-4 and one.inputs == 7 for one in told.parity)
    assert {path.name for path in out.iterdir()} == set(told.files)
    store = timed[0]
    clips = store.select("test_seen", "test_unseen").subset(torch.tensor([0]))
    wanted = recognizer.predict(clips, NAMES)[0]
    record = json.loads((out / RECORD).read_text())
    # What the file says of too few clips is obeyed, as `predict` obeys it.
    *lines, last = _said(out)
    assert last == f"no percentages: {record['percentages_withheld']}"
    assert [line.split()[0] for line in lines] == ["–"] * 3
    (out / RECORD).write_text(json.dumps({**record, "percentages_withheld": ""}))
    lines = _said(out)
    assert len(lines) == 3
    for line, candidate in zip(lines, wanted.ranked):
        probability, score, kind, name = line.split(maxsplit=3)
        assert (kind, name) == (candidate.kind, candidate.name)
        assert float(score) == pytest.approx(candidate.score, abs=2e-4)
        assert float(probability[:-1]) / 100 == pytest.approx(candidate.probability, abs=2e-4)

    with zipfile.ZipFile(out / PROGRAM) as archive:
        for name in archive.namelist():
            assert not archive.read(name).startswith((b"\x80\x02", b"PK")), name
    with pytest.raises(EzavError, match="exists already"):
        export(recognizer, out)


def test_every_dimension_of_the_onnx_file_is_free(
    exported: tuple[Recognizer, Path, Exported],
) -> None:
    import onnxruntime

    recognizer, out, _ = exported
    session = onnxruntime.InferenceSession(out / ONNX)
    shapes = {one.name: one.shape for one in session.get_inputs()}
    assert set(shapes) == set(INPUTS)
    assert not any(isinstance(size, int) for name in INPUTS for size in shapes[name][:1])
    graph = Graph(recognizer.model.method, recognizer.calibration)
    for shape in ((9, 2, 3, 50), (1, 1, 1, 1), (2, 30, 40, 7)):
        one = random_batch(recognizer.model.method.dims, shape, 5)
        feed = {name: value.numpy() for name, value in zip(INPUTS, one)}
        scores, probabilities = session.run(["scores", "probabilities"], feed)
        for found, wanted in zip((scores, probabilities), reference(graph, one)):
            assert np.abs(found - wanted.numpy()).max() < 1e-4


@pytest.mark.parametrize("name", ["avca", "devise", "tcaf"])
def test_other_methods_are_exported_right_or_refused(
    name: str, recognizer: Recognizer, capfd: pytest.CaptureFixture[str]
) -> None:
    from ezav.export.export import _program

    kind = registry.get(name)
    method = kind(kind.Config(), recognizer.model.method.dims)
    graph = Graph(method, recognizer.calibration).eval()
    inputs = [random_batch(method.dims, (3, 2, 2, 4), 0)]
    try:
        program = _program(graph, inputs[0], name)
    except EzavError as error:
        assert f"'{name}' cannot be traced" in str(error)  # noqa: PT017
        assert capfd.readouterr() == ("", "")  # torch would print its graph
        return
    module = program.module()
    with torch.no_grad():
        assert compare("torch.export", graph, lambda one: module(*one), inputs).inputs == 1


class _Bessel(EzAvgzl):
    """Scores through an operator that ONNX does not have."""

    def scores(self, *inputs: Any) -> torch.Tensor:
        return torch.special.bessel_j1(super().scores(*inputs))


def test_an_operator_that_onnx_lacks_is_one_line(recognizer: Recognizer, tmp_path: Path) -> None:
    method = _Bessel(EzAvgzlConfig(**SMALL), recognizer.model.method.dims)
    refused = r"cannot be written as ONNX: .*; it uses an operator"
    with pytest.raises(EzavError, match=refused) as no:
        export(_with_method(recognizer, method), tmp_path / "out")
    assert "\n" not in str(no.value)
    assert not (tmp_path / "out").exists()


def test_stored_features_of_other_encoders_are_refused(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    wrong = Ragged.pooled(torch.ones(1, 3))
    clips = FeatureSet(wrong, wrong, torch.zeros(1, dtype=torch.long), ("a",), ("b",))
    with pytest.raises(EzavError, match="audio features have 3 dimensions"):
        export(recognizer, tmp_path / "out", None, clips)
    assert not (tmp_path / "out").exists()


def test_no_path_of_this_machine_is_exported(
    timed: Stored, exported: tuple[Recognizer, Path, Exported]
) -> None:
    _, out, told = exported
    with zipfile.ZipFile(out / PROGRAM) as program:
        inside = b"".join(program.read(name) for name in program.namelist())
    files = [(out / name).read_bytes() for name in told.files]
    ours = Path(ezav.__file__).parent, Path(torch.__file__).parent, out.parent, timed[1].parent
    for content in (inside, *files):
        for folder in ours:
            assert str(folder).encode() not in content


def test_the_record_says_what_is_true(stored: Stored, tmp_path: Path) -> None:
    """A threshold that never rejects is null; no clips to compare on are no real inputs."""
    recognizer = Recognizer.load(stored[1])
    recognizer.calibration = replace(recognizer.calibration, reject_threshold_=-np.inf)
    export(recognizer, tmp_path, None, stored[0].select().subset(torch.arange(0)))
    record = json.loads((tmp_path / "export.json").read_text(), parse_constant=pytest.fail)
    assert record["reject_threshold"] is None
    assert record["compared_on"] == "random inputs"
