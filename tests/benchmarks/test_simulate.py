"""Simulated benchmarks: official sizes, labelled, reproducible, and hard in the right way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ezav.benchmarks.simulate import SUITES, Simulation, plan_simulation, write_files, write_store
from ezav.cli.simulate import CLI
from ezav.errors import EzavError
from ezav.features import FeatureStore, StoreWriter
from ezav.features.importers import import_features
from ezav.features.importers.blocks import join
from ezav.metrics import gzsl_scores, seen_unseen_curve
from tests.features.importers.small_benchmark import write_class_split
from tests.shared_data import class_lists, published_text

# Classes and clips of train, val_seen, val_unseen, test_seen, test_unseen: the benchmark's paper.
OFFICIAL = {
    "ucf-cls": ((30, 3174), (30, 353), (12, 1467), (42, 555), (6, 845)),
    "activitynet-main": ((99, 9204), (99, 1023), (51, 4307), (150, 1615), (50, 4199)),
    "vggsound-main": ((138, 70351), (138, 7817), (69, 3102), (207, 9032), (69, 3450)),
    "vggsound-clipclap": ((138, 70351), (138, 7817), (69, 3102), (207, 9032), (64, 3200)),
}


def sizes(plan: Simulation) -> tuple[tuple[int, int], ...]:
    clips = plan.clips_by_split()
    return tuple((len(plan.classes.splits[split]), clips[split]) for split in clips)


@pytest.mark.parametrize("suite", OFFICIAL)
def test_drawn_class_lists_have_the_official_sizes(suite: str) -> None:
    plan = plan_simulation(suite)
    assert sizes(plan) == OFFICIAL[suite]
    lists = {split: set(names) for split, names in plan.classes.splits.items()}
    assert lists["train"] == lists["val_seen"]
    assert lists["test_seen"] == lists["train"] | lists["val_unseen"]
    assert not lists["train"] & lists["val_unseen"]
    assert not lists["test_seen"] & lists["test_unseen"]


def test_vggsound_has_93752_clips() -> None:
    assert sum(plan_simulation("vggsound-main").clips.values()) == 93_752


def real_plan(suite: str, **options: Any) -> Simulation:
    dataset = suite.split("-")[0]
    text = {"ucf": "ucf", "vggsound": "vggsound", "activitynet": "activity"}[dataset]
    return plan_simulation(
        suite,
        text=[published_text("word2vec", f"word_embeddings_{text}_normed.npy")],
        class_split=class_lists(dataset),
        **options,
    )


@pytest.mark.parametrize("suite", ["ucf-cls", "activitynet-main", "vggsound-main"])
def test_official_lists_and_real_text(suite: str) -> None:
    plan = real_plan(suite)
    assert sizes(plan) == OFFICIAL[suite]
    assert plan.text[0].names == plan.classes.used
    if suite == "ucf-cls":
        # Counted in the official clip list, not spread evenly.
        assert plan.clips["train", "Archery"] != plan.clips["train", "Bowling"]
        path = class_lists("ucf") / "cls_split" / "stage_1_train.csv"
        assert plan.clips["train", "Archery"] == path.read_text().count(",Archery,")


@pytest.mark.parametrize("suite", ["ucf-cls", "ucf-temporal", "ucf-clipclap"])
def test_store_is_labelled_reproducible_and_of_the_published_shape(
    tmp_path: Path, suite: str
) -> None:
    plan = plan_simulation(suite, scale=0.01)
    write_store(plan, tmp_path / "one")
    write_store(plan_simulation(suite, scale=0.01), tmp_path / "two")
    write_store(plan_simulation(suite, scale=0.01, seed=1), tmp_path / "three")
    one, two, three = (FeatureStore.open(tmp_path / name) for name in ("one", "two", "three"))
    assert one.fingerprint == two.fingerprint != three.fingerprint
    assert one.header.simulated
    assert one.header.dataset == "UCF simulated"
    assert all("simulated" in encoder.name for encoder in one.header.encoders)
    assert all(clip.startswith("simulated") for clip in one.index.column("clip").to_pylist())
    audio, visual = plan.features.audio[1], plan.features.visual[1]
    features = one.select("train")
    assert (features.audio.dim, features.visual.dim) == (audio, visual)
    assert one.splits == plan.clips_by_split()
    if suite == "ucf-temporal":
        assert features.visual.lengths.min() > 1
        values = features.audio.values
        assert torch.equal(values, values.round()), "VGGish tokens are bytes"
        assert 50 < values.max() <= 255
    elif suite == "ucf-clipclap":
        norms = features.visual.values.norm(dim=1)
        assert torch.allclose(norms, torch.ones(1), atol=1e-2)
        assert [one.class_embeddings(name).dim for name in one.encoders] == [1536, 512, 1024]
    else:
        assert features.visual.values.min() >= 0


def test_memory_does_not_decide_the_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_simulation("ucf-main", scale=0.01)
    write_store(plan, tmp_path / "whole")
    monkeypatch.setattr("ezav.features.importers.intake.CHUNK_BYTES", 10_000)
    write_store(plan, tmp_path / "chunked")
    whole, chunked = (FeatureStore.open(tmp_path / name) for name in ("whole", "chunked"))
    assert len(chunked.contents.shards) > len(whole.contents.shards)
    assert whole.fingerprint == chunked.fingerprint


@pytest.mark.parametrize("other", ["seed", "scale", "text"])
def test_another_simulation_does_not_go_on_with_this_one(tmp_path: Path, other: str) -> None:
    plan = plan_simulation("ucf-main", scale=0.003)
    write_store(plan, tmp_path / "store")
    before = FeatureStore.open(tmp_path / "store").fingerprint
    plan.text[0].save(tmp_path / "a.safetensors")
    text = plan.text[0].with_vectors(plan.text[0].vectors.flip(0))
    text.save(tmp_path / "b.safetensors")
    options: Any = {
        "seed": {"seed": 1},
        "scale": {"scale": 0.05},
        "text": {"text": [tmp_path / "b.safetensors"]},
    }
    another = plan_simulation("ucf-main", **{"scale": 0.003, **options[other]})
    with pytest.raises(EzavError, match="holds another simulation: seed=0,") as caught:
        write_store(another, tmp_path / "store")
    assert plan.identity in str(caught.value)
    assert another.identity in str(caught.value)
    assert FeatureStore.open(tmp_path / "store").fingerprint == before


def test_the_same_simulation_again_writes_nothing_and_a_stopped_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_simulation("ucf-main", scale=0.003)
    monkeypatch.setattr("ezav.features.importers.intake.CHUNK_BYTES", 100_000)
    write_store(plan, tmp_path / "whole")
    shards = sorted((tmp_path / "whole" / "shards").iterdir())
    stamps = [path.stat().st_mtime_ns for path in shards]
    write_store(plan_simulation("ucf-main", scale=0.003), tmp_path / "whole")
    assert [path.stat().st_mtime_ns for path in sorted(shards[0].parent.iterdir())] == stamps

    add_many, calls = StoreWriter.add_many, []

    def stop(writer: StoreWriter, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        add_many(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "add_many", stop)
        with pytest.raises(KeyboardInterrupt):
            write_store(plan, tmp_path / "stopped")
    write_store(plan, tmp_path / "stopped")
    whole, stopped = (FeatureStore.open(tmp_path / name) for name in ("whole", "stopped"))
    assert stopped.fingerprint == whole.fingerprint


def test_a_simulated_store_that_does_not_say_of_what_is_not_gone_on_with(tmp_path: Path) -> None:
    plan = plan_simulation("ucf-main", scale=0.003)
    write_store(plan, tmp_path)
    header = json.loads((tmp_path / "header.json").read_text())
    for encoder in header["encoders"]:
        encoder["options"] = ""
    (tmp_path / "header.json").write_text(json.dumps(header))
    with pytest.raises(EzavError, match=r"does not say with which seed, .* an earlier ezav"):
        write_store(plan, tmp_path)


def ridge_scores(plan: Simulation) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """Regression from features to class vectors, trained on seen classes: a plain ZSL method."""
    names = plan.classes.used
    rows: dict[bool, list[Any]] = {True: [], False: []}
    for block in plan.blocks():
        values = torch.cat([join([m]).means for m in (block.audio, block.visual)], dim=1)
        labels = torch.full((len(values),), names.index(block.name))
        rows[not block.split.startswith("test")].append((values.float(), labels))
    train, test = (
        tuple(torch.cat([r[i] for r in rows[key]]) for i in (0, 1)) for key in (True, False)
    )
    text = plan.text[0].vectors - plan.text[0].vectors.mean(0)
    text = (text / text.norm(dim=1, keepdim=True)).numpy()
    ridge = Ridge(alpha=3000.0).fit(train[0].numpy(), text[train[1].numpy()])
    mapped = ridge.predict(test[0].numpy())
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    seen = torch.tensor([name in plan.classes.splits["test_seen"] for name in names])
    return torch.from_numpy(mapped @ text.T), test[1], seen, int((~seen).sum())


@pytest.mark.parametrize(("suite", "scale"), [("ucf-main", 0.15), ("activitynet-main", 0.05)])
def test_transfer_is_possible_and_not_perfect(suite: str, scale: float) -> None:
    scores, targets, seen, unseen = ridge_scores(plan_simulation(suite, scale=scale))
    curve = seen_unseen_curve(scores, targets, seen)
    result = gzsl_scores(scores, targets, seen, curve.gamma)
    assert 1.7 / unseen < result.ZSL < 0.8
    assert result.U < result.S < 0.95
    # Class vectors dealt to other classes must lose the transfer.
    order = torch.arange(len(seen))
    order[~seen] = order[~seen].roll(1)
    wrong = gzsl_scores(scores[:, order], targets, seen, curve.gamma)
    assert wrong.ZSL < result.ZSL / 2


@pytest.mark.parametrize("suite", ["ucf-cls", "ucf-temporal", "ucf-clipclap"])
def test_files_imported_again_are_the_store(tmp_path: Path, suite: str) -> None:
    plan = plan_simulation(suite, scale=0.003)
    write_store(plan, tmp_path / "direct")
    write_files(plan, tmp_path / "UCF")
    layout: Any = plan.layout.name
    # What they are is known without being told.
    import_features(layout, tmp_path / "UCF", tmp_path / "in", dataset="ucf", setting="cls")
    direct, imported = (FeatureStore.open(tmp_path / name) for name in ("direct", "in"))
    assert imported.header.dataset == direct.header.dataset
    assert imported.header.simulated
    for split in direct.splits:
        ours, theirs = direct.select(split), imported.select(split)
        assert ours.clips == theirs.clips
        assert torch.equal(ours.audio.values, theirs.audio.values)
        assert torch.equal(ours.visual.values, theirs.visual.values)
        assert torch.allclose(ours.visual.times, theirs.visual.times)
    assert torch.allclose(direct.class_embeddings().vectors, imported.class_embeddings().vectors)


def test_the_command_labels_its_store(tmp_path: Path) -> None:
    result = CLI(suite="ucf-main", out=tmp_path / "ucf", scale=0.003).run()
    assert result.as_dict()["store"].endswith("ucf-simulated")
    assert FeatureStore.open(result.out).header.simulated
    assert sum(result.clips.values()) == len(FeatureStore.open(result.out).index)


def test_the_command_names_a_folder_as_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("m[v2]", "m[/v2]"):
        command = CLI(suite="ucf-main", out=tmp_path / name, scale=0.003)
        command.show(command.run())
        assert f"-> {tmp_path / name}-simulated" in capsys.readouterr().out
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = CLI(suite="ucf-main", out=Path("."), scale=0.003).run()
    assert result.out == tmp_path / "here-simulated"
    with pytest.raises(EzavError, match="'/' is no folder to write to"):
        CLI(suite="ucf-main", out=Path("/"), scale=0.003).run()


@pytest.mark.parametrize(
    ("clips", "word"),
    [
        (
            b"video,class\na,Archery\n",
            "stage_1_train.csv' does not begin with the columns label;",
        ),
        ("video,label\na,Fußball\n".encode("latin-1"), "stage_1_train.csv' is not UTF-8"),
    ],
)
def test_odd_clip_lists_are_named(tmp_path: Path, clips: bytes, word: str) -> None:
    lists = write_class_split(tmp_path)
    (lists / "cls_split" / "stage_1_train.csv").write_bytes(clips)
    with pytest.raises(EzavError, match=word):
        plan_simulation("ucf-cls", class_split=lists)
    (lists / "cls_split" / "stage_1_train.csv").write_text("label,video\nArchery,a\n\nArchery\n")
    assert plan_simulation("ucf-cls", class_split=lists).clips["train", "Archery"] == 2


def test_suites_of_the_command_are_those_of_the_library() -> None:
    from typing import get_args

    from ezav.cli.simulate import _SUITES

    assert set(get_args(_SUITES)) == set(SUITES)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="no suite 'ucf-clip' to simulate"):
        plan_simulation("ucf-clip")
    with pytest.raises(EzavError, match="`scale=0` does not lie in"):
        plan_simulation("ucf-cls", scale=0)
    plan = plan_simulation("ucf-cls")
    plan.text[0].save(tmp_path / "48.safetensors")
    with pytest.raises(EzavError, match="48 classes in the text embeddings, but activitynet-cls"):
        plan_simulation("activitynet-cls", text=[tmp_path / "48.safetensors"])
    assert len(plan_simulation("ucf-cls", text=[tmp_path / "48.safetensors"]).classes.used) == 48
    (tmp_path / "there").mkdir()
    with pytest.raises(EzavError, match="exists already"):
        write_files(plan, tmp_path / "there")
