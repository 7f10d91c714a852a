"""What `ezav run` says of the rows that a run should be above, and where it is said again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import main
from ezav.features import EncoderInfo, Header, StoreWriter
from ezav.features.splits import draw_splits
from ezav.protocol.run_folder import read_result

CLASSES, CLIPS, DIM = 12, 10, 8


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP's space: the picture says the name almost without noise; nothing is left to learn."""
    draw = torch.Generator().manual_seed(0)
    names = tuple(f"class {n:02d}" for n in range(CLASSES))
    text = torch.nn.functional.normalize(torch.randn(CLASSES, DIM, generator=draw), dim=1)
    header = Header(
        dataset="mine",
        encoders=(
            EncoderInfo(modality="visual", name="clip", dimension=DIM),
            EncoderInfo(modality="audio", name="vggish", dimension=3),
        ),
    )
    clips = {f"{name}/{n}": name for name in names for n in range(CLIPS)}
    path = tmp_path_factory.mktemp("controls") / "store"
    with StoreWriter(path, header) as writer:
        for clip, name in clips.items():
            said = text[names.index(name)] + 0.02 * torch.randn(1, DIM, generator=draw)
            writer.add(
                clip=clip,
                class_name=name,
                audio=(torch.randn(1, 3, generator=draw), torch.zeros(1)),
                visual=(said, torch.zeros(1)),
            )
        splits = draw_splits(list(clips), list(clips.values()))
        writer.finish(splits, [ClassEmbeddings(names, text, "clip@3d74acf9")])
    return path


def run(method: str, store: Path, out: Path, *more: str) -> int:
    return main(["run", method, str(store), "--out", str(out), *more])


def test_the_frozen_row_is_that_of_the_frozen_run(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("zero_shot", store, tmp_path / "frozen") == 0
    assert "frozen encoders" not in capsys.readouterr().out  # it is that row itself
    assert run("devise", store, tmp_path / "run", "--training.epochs", "1") == 0
    said = capsys.readouterr().out
    frozen, result = (read_result(tmp_path / name) for name in ("frozen", "run"))
    assert set(frozen.controls) == {"shuffled"}
    assert pytest.approx(frozen.metrics.HM) == result.controls["frozen"].HM
    assert frozen.metrics.HM > 0.95
    assert f"frozen encoders {frozen.metrics.HM:.1%}" in said
    assert said.splitlines()[-1].startswith("NO BETTER THAN")


def test_more_data_than_names_is_better_than_shuffled_names(store: Path, tmp_path: Path) -> None:
    assert run("eszsl", store, tmp_path / "run") == 0
    assert read_result(tmp_path / "run").controls["shuffled"].low > 0


def test_what_the_frozen_encoders_know_already_is_the_last_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("eszsl", store, tmp_path / "run") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("NO BETTER THAN THE FROZEN ENCODERS WITHOUT TRAINING: HM ")
