"""The demo end to end on a small world: every step real, the second call keeps what is done."""

from __future__ import annotations

import functools
import json

import ezav.features.toy as toy
import ezav.recipes
from ezav.cli import demo
from ezav.cli.main import main
from ezav.protocol.run_folder import read_evaluation_file


def test_demo_from_clips_to_a_name_and_again(tmp_path, monkeypatch, capsys):
    small = functools.partial(
        toy.generate_toy_world, tmp_path / "world", classes=8, clips_per_class=4
    )
    monkeypatch.setattr(toy, "generate_toy_world", small)
    short = functools.partial(ezav.recipes.protocol_for, training={"epochs": 3})
    monkeypatch.setattr(ezav.recipes, "protocol_for", short)
    out = tmp_path / "out"
    arguments = ["demo", "--out", str(out), "--seeds", "1", "--processes", "1"]
    assert main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [r["label"] for r in first["results"]] == list(demo.ROWS)
    ours, closed, cosine, shuffled = first["results"]
    assert closed["method"] == "eszsl"
    assert closed["config"]["balanced"], "its recipe's setting, not the default"
    assert ours["config"]["classes"]["source"] == "ceo"
    assert cosine["config"]["similarity"] == "cosine"
    assert cosine["config"]["classes"]["source"] == "raw"
    assert shuffled["config"]["classes"]["shuffle"]
    assert first["recognised"]["truth"] in ours["candidates"]["unseen"]
    assert {c["kind"] for c in first["recognised"]["ranked"]} <= {"seen", "unseen"}
    assert "<svg" in (out / "report.html").read_text()
    # The grid of clips says what the stored scores say.
    sheet = (out / "answers.html").read_text()
    test = read_evaluation_file(out / "runs-0/ez-avgzl/seed-0/test.safetensors")
    said = (test.scores - ours["gamma"] * test.seen).argmax(1)
    first = [test.targets.tolist().index(target) for target in test.targets.unique().tolist()]
    right = sum(int(said[row] == test.targets[row]) for row in first)
    assert sheet.count("tile right") == right
    assert sheet.count("tile wrong") == len(first) - right
    assert sheet.count("data:image/jpeg;base64,") == sheet.count("data:image/png") == len(first)
    names = {path.stem for path in (out / "examples-0").iterdir()}
    assert names & set(ours["candidates"]["seen"])
    assert names & set(ours["candidates"]["unseen"])
    stamps = {p: p.stat().st_mtime_ns for p in (out / "runs-0").rglob("weights.safetensors")}
    assert len(stamps) == 4

    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps, "finished runs were run again"
    for words in (
        "EZ-AVGZL",
        "chance",
        "cosine, raw text",
        "answers.html",
        "report.html",
        "ezav extract VIDEOS",
        "ezav serve ",
    ):
        assert words in shown.out
    assert "orderings of distances kept" in shown.err
