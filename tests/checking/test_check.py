"""A look at stores whose faults are known, since the test made them."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ezav.checking import at_a_glance, check_store
from ezav.checking.copies import nearest_apart
from ezav.checking.inputs import Inputs
from ezav.checking.labels import by_clips, by_names, contradicted, margins
from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter
from tests import worlds

Clip = dict[str, object]
DIMS = 40, 48


def made(folder: Path, change: Callable[[dict[str, Clip]], None]) -> FeatureStore:
    """Twelve classes of twelve clips, three tokens each, with what `change` makes of them."""
    text = worlds.class_vectors(12)
    labels = torch.arange(12).repeat_interleave(12)
    draw = torch.Generator().manual_seed(5)
    features = [text.vectors[labels] @ torch.randn(8, dim, generator=draw) for dim in DIMS]
    features = [one + 0.5 * torch.randn(one.shape, generator=draw) for one in features]
    clips: dict[str, Clip] = {}
    for row, label in enumerate(labels.tolist()):
        tokens = [one[row] + 0.2 * torch.randn(3, one.shape[1], generator=draw) for one in features]
        clips[f"clip{row:03d}"] = {
            "class_name": text.names[label],
            "audio": (tokens[0], torch.arange(3.0)),
            "visual": (tokens[1], torch.arange(3.0)),
            "duration": 3.0,
            "split": worlds._split(label, row % 12, 12),
        }
    change(clips)
    encoders = tuple(
        EncoderInfo(modality=modality, name="random", dimension=dim)
        for modality, dim in (("audio", DIMS[0]), ("visual", DIMS[1]), ("text", 8))
    )
    writer = StoreWriter(folder, Header(dataset="tiny", setting="test", encoders=encoders))
    splits = {name: str(clip.pop("split")) for name, clip in clips.items()}
    for name, clip in clips.items():
        writer.add(clip=name, **clip)  # type: ignore[arg-type]
    names = {str(clip["class_name"]) for clip in clips.values()}
    writer.finish(splits, [text.select(sorted(names))])
    return FeatureStore.open(folder)


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    store = made(tmp_path / "store", lambda clips: None)
    found = check_store(store)
    assert not found.findings
    assert (found.clips, found.classes) == (144, 12)
    assert at_a_glance(store) == ""


def test_swapped_labels_are_found_and_their_classes_named(tmp_path: Path) -> None:
    truth = {}

    def swap(clips: dict[str, Clip]) -> None:
        known = sorted(name for name, clip in clips.items() if clip["split"] == "train")
        some = random.Random(3).sample(known, 14)
        for one, other in zip(some[::2], some[1::2], strict=True):
            first, second = clips[one]["class_name"], clips[other]["class_name"]
            if first != second:
                truth[one], truth[other] = first, second
                clips[one]["class_name"], clips[other]["class_name"] = second, first

    found = check_store(made(tmp_path / "store", swap)).of("label")
    right = [one for one in found if truth.get(one.clip) == one.other]
    assert len(truth) >= 10
    assert len(right) >= 0.8 * len(truth)
    assert len(right) >= 0.8 * len(found)


def test_no_witness_sees_the_label_of_the_clip_itself(tmp_path: Path) -> None:
    """The scores of a clip stay when its own label changes, whatever it is changed to."""
    store = made(tmp_path / "store", lambda clips: None)
    inputs = Inputs.of(store)
    other = inputs.labels.clone()
    other[7] = 4
    weights = torch.ones(144)
    from ezav.checking.left_out import left_out_scores

    def scores(labels: torch.Tensor) -> torch.Tensor:
        one_hot = torch.nn.functional.one_hot(labels, 12)
        return left_out_scores(inputs.both, one_hot, inputs.sources, weights=weights)

    assert torch.allclose(scores(inputs.labels)[7], scores(other)[7], atol=1e-9)
    assert not torch.allclose(scores(inputs.labels)[8], scores(other)[8], atol=1e-9)


def test_names_alone_know_most_classes_that_their_model_never_met(tmp_path: Path) -> None:
    inputs = Inputs.of(made(tmp_path / "store", lambda clips: None))
    for scores, least in ((by_clips(inputs), 0.9), (by_names(inputs), 0.5)):
        assert scores is not None
        assert float((margins(scores, inputs.labels) < 0).double().mean()) > least


def test_a_class_of_one_source_is_not_judged(tmp_path: Path) -> None:
    store = made(tmp_path / "store", lambda clips: None)
    sources = {f"clip{row:03d}": "tape" for row in range(12)}  # all of class 00
    inputs = Inputs.of(store, sources=sources)
    assert float((margins(by_clips(inputs), inputs.labels)[:12] > 0).double().mean()) > 0.5
    assert not contradicted(inputs)


def test_copies_and_shared_sources_are_found_across_splits(tmp_path: Path) -> None:
    def copy(clips: dict[str, Clip]) -> None:
        for copied, clip in (("clip001", "clip002"), ("clip016", "clip017")):  # test_seen; train
            for modality in ("audio", "visual"):
                clips[copied][modality] = clips[clip][modality]

    store = made(tmp_path / "store", copy)
    found = check_store(store, sources={"clip001": "tape", "clip002": "tape", "clip003": "tape"})
    assert [(one.clip, one.other) for one in found.of("copy")] == [("clip001", "clip002")]
    assert [one.said for one in found.of("source")] == ["source 'tape': 2 trained on, 1 tested"]
    assert at_a_glance(store) == "2 clips have the very features of one in another split or class"


def test_the_nearest_elsewhere_is_that_of_all_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezav.checking.copies._BLOCK", 30_000)
    draw = torch.Generator().manual_seed(0)
    both = [torch.nn.functional.normalize(torch.randn(600, 3, generator=draw)) for _ in range(2)]
    both[1][::7] = 0
    places = torch.randint(4, (600,), generator=draw)
    found = {first: second for first, second, _ in nearest_apart(*both, places, 0.9)}
    wanted = {}
    cosines = [(one.double() @ one.double().T).tolist() for one in both]
    for first in range(600):
        best = 0.9
        for second in range(first + 1, 600):
            silent = first % 7 == 0, second % 7 == 0
            if silent[0] != silent[1] or places[first] == places[second]:
                continue
            like = cosines[0][first][second]
            like = like if silent[0] else min(like, cosines[1][first][second])
            if like >= best:
                best, wanted[first] = like, second
    assert found == wanted
    assert len(found) > 100


def test_odd_clips_and_small_classes_are_found(tmp_path: Path) -> None:
    still = torch.ones(3, 1)

    def spoil(clips: dict[str, Clip]) -> None:
        clips["clip020"]["audio"] = None
        clips["clip021"]["duration"] = 0.3
        clips["clip022"]["reason"] = "the sound is silence"
        clips["clip041"]["reason"] = "a remark; the picture is black"
        clips["clip030"]["visual"] = (still * torch.ones(DIMS[1]), torch.arange(3.0))
        clips["clip040"]["audio"] = (still * torch.ones(DIMS[0]), torch.arange(3.0))
        for row in (48, 50, 51, 52, 53, 55, 57, 58, 59):
            del clips[f"clip{row:03d}"]

    store = made(tmp_path / "store", spoil)
    found = check_store(store)
    assert [(one.clip, one.said) for one in found.of("missing")] == [("clip020", "no sound")]
    assert [one.clip for one in found.of("short")] == ["clip021"]
    assert [one.clip for one in found.of("silent")] == ["clip022"]
    assert [one.clip for one in found.of("black")] == ["clip041"]
    assert [one.clip for one in found.of("still")] == ["clip030", "clip040"]
    assert [one.said for one in found.of("few")] == ["class 'class 04' has 3 clips"]
    assert at_a_glance(store) == (
        "1 class has fewer than 5 clips ('class 04'); 1 clip has no sound; "
        "1 clip has nothing but silence; 1 clip has a black picture; "
        "1 clip is shorter than a second"
    )


def test_names_that_are_one_vector_are_told(tmp_path: Path) -> None:
    store = made(tmp_path / "store", lambda clips: None)
    text = store.class_embeddings()
    vectors = text.vectors.clone()
    vectors[3] = vectors[5]
    vectors[8] = vectors[9] + 0.1 * vectors[10] / vectors[10].norm()
    told = check_store(store.read_as([ClassEmbeddings(text.names, vectors, text.encoder)]))
    said = [one.said for one in told.of("name")]
    assert "'class 03', 'class 05' are one vector" in said[0]
    assert "'class 08' and 'class 09' are nearly one" in said[1]
    assert len(said) == 2


def test_more_clips_help_a_noisy_world_and_test_clips_do_not_matter(tmp_path: Path) -> None:
    def noisy(clips: dict[str, Clip]) -> None:
        draw = torch.Generator().manual_seed(1)
        for clip in clips.values():
            for modality in ("audio", "visual"):
                tokens, times = clip[modality]  # type: ignore[misc]
                noise = 1.5 * torch.randn(1, tokens.shape[1], generator=draw)
                clip[modality] = (tokens + noise, times)

    def other_tests(clips: dict[str, Clip]) -> None:
        noisy(clips)
        for clip in clips.values():
            if str(clip["split"]).startswith("test"):
                clip["duration"] = 9.0

    curve = check_store(made(tmp_path / "one", noisy)).curve
    assert curve is not None
    assert [point.clips for point in curve.points] == [1, 2, 4, 8]
    assert curve.points[-1].hm - curve.points[0].hm > 0.1
    again = check_store(made(tmp_path / "two", other_tests)).curve
    assert again is not None
    assert again.points == curve.points


def test_the_command_writes_table_page_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(clips: dict[str, Clip]) -> None:
        clips["clip020"]["audio"] = None
        clips["=1+1<b>"] = clips.pop("clip021") | {"audio": None}

    store = made(tmp_path / "store", spoil)
    outs = [tmp_path / f"found.{ending}" for ending in ("csv", "json", "html")]
    assert main(["check", str(store.path), "--out", *map(str, outs)]) == 0
    assert "clips without sound or without a picture: 2" in capsys.readouterr().out
    rows = list(csv.DictReader(outs[0].open(encoding="utf-8", newline="")))
    assert {row["clip"] for row in rows if row["kind"] == "missing"} == {"clip020", "'=1+1<b>"}
    data = json.loads(outs[1].read_text(encoding="utf-8"))
    assert (data["clips"], len(data["findings"])) == (144, len(rows))
    page = outs[2].read_text(encoding="utf-8")
    assert "<b>" not in page.split("<main>")[1].split("=1+1")[1][:3]
    assert main(["check", str(store.path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == len(rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/such"], "no videos and no feature store"),
        (["STORE", "--out", "found.xlsx"], "cannot be written as '.xlsx'"),
        (["STORE", "--most", "-1"], "--most must be 0 or more"),
        (["STORE", "--videos", "no/such"], "there is no folder"),
        (["STORE", "--groups", "no/such.csv"], "no/such.csv"),
        (["STORE", "--groups", "GROUPS"], "has no clip 'b.mp4'"),
        (["STORE", "--text-encoder", "other"], "no class embeddings of 'other'"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    store = made(tmp_path / "store", lambda clips: None)
    groups = tmp_path / "groups.csv"
    groups.write_text("path,source\nb.mp4,tape\n", encoding="utf-8")
    given = {"STORE": str(store.path), "GROUPS": str(groups)}
    assert main(["check", *(given.get(word, word) for word in words)]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_store_without_a_readable_clip_is_refused(tmp_path: Path) -> None:
    store = made(tmp_path / "store", lambda clips: None)
    store.contents = store.contents.model_copy(update={"splits": dict.fromkeys(store.splits, 0)})
    with pytest.raises(EzavError, match=r"no clip of .* can be read"):
        check_store(store)
