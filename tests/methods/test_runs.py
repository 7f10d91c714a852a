"""Every method under the two-stage protocol, from the command line to a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import main
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter
from ezav.methods import registry

AUDIO, VISUAL = 4, 6
SMALL = {
    "blending": ["--config.weight", "0.5"],
    "f_vaegan_d2": ["--config.synthetic-per-class", "20", "--config.classifier-epochs", "10"],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 classes in a space that features and text share; some clips lack a modality."""
    path = tmp_path_factory.mktemp("methods") / "store"
    g = torch.Generator().manual_seed(0)
    names = tuple(f"class {i:02d}" for i in range(12))
    vectors = torch.randn(12, VISUAL + AUDIO, generator=g)
    header = Header(
        dataset="tiny",
        setting="test",
        encoders=tuple(
            EncoderInfo(modality=modality, name="random", dimension=dim)
            for modality, dim in (("audio", AUDIO), ("visual", VISUAL), ("text", AUDIO + VISUAL))
        ),
    )
    writer, splits = StoreWriter(path, header), {}
    for number in range(12 * 12):
        label, turn = divmod(number, 12)
        clip = f"clip{number:04d}"
        x = vectors[label] + 0.3 * torch.randn(3, VISUAL + AUDIO, generator=g)
        times = torch.arange(3) + 0.5
        writer.add(
            clip=clip,
            class_name=names[label],
            audio=None if turn == 7 else (x[:, VISUAL:], times),
            visual=None if turn == 8 else (x[:2, :VISUAL], times[:2]),
        )
        seen = {0: "val_seen", 1: "test_seen"}.get(turn % 6, "train")
        if label >= 10:
            splits[clip] = "test_unseen"
        elif label >= 8:
            splits[clip] = "val_unseen" if turn % 6 else "test_seen"
        else:
            splits[clip] = seen
    writer.finish(splits, [ClassEmbeddings(names, vectors, "random")])
    return path


@pytest.mark.parametrize("name", registry.names())
def test_a_run_from_the_command_line(
    name: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["run", name, str(store), "--out", str(out), "--device", "cpu", "--json"]
    arguments += ["--training.epochs", "1", "--training.batches-per-epoch", "2"]
    arguments += SMALL.get(name, [])
    assert main(arguments) in (0, None)
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "result.json").read_text())
    assert printed["runs"][0]["metrics"] == written["metrics"]
    assert written["method"] == name
    assert 0 <= written["metrics"]["HM"] <= 1
    if name in ("zero_shot", "eszsl"):
        # The text is the features' own space: no guess.
        assert written["metrics"]["ZSL"] > 0.7
    assert (out / "weights.safetensors").is_file()
    assert FeatureStore.open(store).fingerprint == written["store_fingerprint"]
