"""Descriptions behind class names: files, what is typed, stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from ezav.classes.embeddings import ClassEmbeddings
from ezav.cli.main import main
from ezav.encoders.descriptions import read_descriptions
from ezav.encoders.registry import load_text
from ezav.encoders.spec import EncoderSpec
from ezav.errors import EzavError
from ezav.extraction import extract
from ezav.extraction.plan import class_embeddings
from ezav.extraction.report import Begun, ExtractionReport
from ezav.features import FeatureStore, Header
from ezav.features.verify import verify_store
from ezav.protocol import read_result
from ezav.recognizer import Recognizer
from ezav.recognizer.described import describe_store
from ezav.recognizer.encoders import RunEncoders
from tests.encoders import checkpoints
from tests.recognizer import tiny_encoders
from tests.recognizer.small_run import NAMES, feature_store, write_video


def test_csv_and_yaml_say_the_same(tmp_path: Path) -> None:
    csv = tmp_path / "d.csv"
    csv.write_text(
        'name,description\ndog,"a dog, barking",a puppy\nrain,drops fall\nrain,a wet day\n'
    )
    yaml = tmp_path / "d.yaml"
    yaml.write_text("dog: ['a dog, barking', a puppy]\nrain: [drops fall, a wet day]\n")
    expected = {"dog": ("a dog, barking", "a puppy"), "rain": ("drops fall", "a wet day")}
    assert read_descriptions(csv) == read_descriptions(yaml) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("d.csv", "dog\n", "line 1: a name without a description"),
        ("d.csv", ",a dog\n", "line 1: no name"),
        ("d.csv", "name,description\n", "holds no descriptions"),
        ("d.yaml", "- dog\n", "does not map names"),
        ("d.yaml", "dog: 3\n", "something else than text"),
        ("d.yaml", "dog: [\n", "is not YAML"),
        ("d.yaml", "dog: !!timestamp x\n", "is not YAML"),
        ("d.csv", f"dog,{'x' * 200_000}\n", "is no table"),
        ("d.txt", "dog: a dog\n", "is no file of descriptions"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EzavError, match=said) as error:
        read_descriptions(tmp_path / name)
    assert "\n" not in str(error.value)


def test_typed_and_mapped_descriptions_are_read_in_the_names_place() -> None:
    recognizer = Recognizer.frozen()
    text = load_text("minilm")
    typed = recognizer.candidates(["a dog: a dog that barks", "BrushingTeeth"])
    assert typed.names == ("a dog", "BrushingTeeth")
    expected = text.encode(["a dog that barks", "brushing teeth"])
    torch.testing.assert_close(typed.new_vectors, expected, atol=1e-6, rtol=0)
    several = {"a dog": ["a dog that barks", "a puppy"], "rain": []}
    mapped = recognizer.candidates(several)
    mean = normalize(text.encode(["a dog that barks", "a puppy"]).mean(dim=0), dim=0)
    torch.testing.assert_close(mapped.new_vectors[0], mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(mapped.new_vectors[1], text.encode(["rain"])[0], atol=1e-6, rtol=0)
    with pytest.raises(EzavError, match="a colon and no description"):
        recognizer.candidates(["dog:", "rain"])
    with pytest.raises(EzavError, match="has 600 characters"):
        recognizer.candidates([f"dog: {'x' * 600}", "rain"])
    with pytest.raises(EzavError, match="twice"):
        recognizer.candidates(["dog: one", "dog: two"])


def test_a_store_is_described_without_new_extraction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = feature_store(tmp_path / "store")
    before = describe_store(store.path, {}).fingerprint  # names in the order of the store
    features = store.select(*store.splits)
    file = tmp_path / "d.yaml"
    file.write_text("".join(f"{name}: [a scene with {name}, {name}]\n" for name in NAMES))
    assert main(["features", "describe", str(store.path), str(file)]) == 0
    after = FeatureStore.open(store.path)
    made = after.class_embeddings()
    text = load_text("minilm")
    for row, name in enumerate(after.classes):
        mean = normalize(text.encode([f"a scene with {name}", name]).mean(dim=0), dim=0)
        torch.testing.assert_close(made.vectors[row], mean, atol=1e-6, rtol=0)
    assert made.settings["descriptions"]["dog barking"] == [
        "a scene with dog barking",
        "dog barking",
    ]
    assert after.fingerprint != before
    assert not verify_store(store.path).problems
    torch.testing.assert_close(after.select(*after.splits).visual.values, features.visual.values)
    describe_store(store.path, {})
    plain = FeatureStore.open(store.path)
    assert plain.fingerprint == before
    assert "descriptions" not in plain.class_embeddings().settings
    file.write_text("cat: a cat\n")
    assert main(["features", "describe", str(store.path), str(file)]) != 0
    err = capsys.readouterr().err
    assert "no description of" in err
    assert "'cat' is no class" in err
    assert FeatureStore.open(store.path).fingerprint == before


def test_predict_takes_a_file_of_descriptions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "d.csv"
    file.write_text("dog,a dog that barks\nrain,drops\n")
    asked = ["predict", "--frozen", str(tmp_path / "no.mp4"), "--descriptions", str(file), "--json"]
    assert main(asked) == 1  # there is no such clip, and names are fine
    assert json.loads(capsys.readouterr().out)["unread"]
    assert main([*asked, "--classes", "dog", "sea"]) != 0
    assert "has no description of 'sea'" in capsys.readouterr().err
    assert main([*asked, "--classes", "dog"]) == 1
    assert "not asked for, but described: 'rain'" in capsys.readouterr().err


def test_extract_checks_the_descriptions_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("dog", "rain"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        (tmp_path / "clips" / name / "a.mp4").write_bytes(b"")
    file = tmp_path / "d.csv"
    file.write_text("dog,a dog that barks\n")
    out = tmp_path / "store"
    asked = ["extract", str(tmp_path / "clips"), "--out", str(out), "--descriptions", str(file)]
    assert main(asked) != 0
    assert "no description of 'rain'" in capsys.readouterr().err
    assert not out.exists()


def test_extraction_keeps_descriptions_until_others_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two stores in one folder; nothing is encoded a second time."""
    for name in ("dogBarking", "rain", "sea", "wind"):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        for number in range(4):
            write_video(folder / f"{number}.mp4", ["red light"], seconds=0.5)
    behind = {name: (f"the noise of {name}",) for name in ("dogBarking", "rain", "sea", "wind")}
    told: list[Begun] = []

    def extracted(**given: object) -> tuple[ExtractionReport, list[tuple[str, ClassEmbeddings]]]:
        report = extract(
            tmp_path / "clips",
            tmp_path / "out",
            visual=["statistics", f"{tiny_encoders.__name__}:Colour"],
            audio="statistics",
            workers=1,
            on_begin=told.append,
            **given,
        )
        stores = [FeatureStore.open(one.store) for one in (report, *report.others)]
        return report, [(store.fingerprint, store.class_embeddings()) for store in stores]

    _, plain = extracted()
    assert told[-1].read == {"dogBarking": "dog barking"}
    report, first = extracted(descriptions=behind)
    assert report.added == 0
    assert told[-1].read == {}
    _, second = extracted()
    marks = [[mark for mark, _ in several] for several in (plain, first, second)]
    assert marks[0] != marks[1] == marks[2]
    for _, text in second:
        assert text.settings["descriptions"]["sea"] == ["the noise of sea"]
        read = load_text("minilm").encode(["the noise of sea"])[0]
        torch.testing.assert_close(text.vectors[2], read, atol=1e-6, rtol=0)
    (tmp_path / "clips" / "wind").rename(tmp_path / "clips" / "storm")
    with pytest.raises(EzavError, match=r"no description of 'storm'; 'wind' is no class"):
        extracted()


def test_run_and_bench_read_descriptions_and_leave_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = feature_store(tmp_path / "store")
    file = tmp_path / "d.yaml"
    file.write_text("".join(f"{name}: a scene with {name}\n" for name in NAMES))
    asked = ["run", "eszsl", str(store.path), "--out", str(tmp_path / "runs"), "--seeds", "1"]
    assert main([*asked, "--descriptions", str(file)]) == 0
    run = read_result(tmp_path / "runs")
    assert FeatureStore.open(store.path).fingerprint == store.fingerprint == run.store_fingerprint
    assert run.class_embeddings["descriptions"]["dog barking"] == ["a scene with dog barking"]
    kept = ClassEmbeddings.load(tmp_path / "runs" / "text.safetensors")
    read = load_text("minilm").encode(["a scene with dog barking"])[0]
    torch.testing.assert_close(kept.select(["dog barking"]).vectors[0], read, atol=1e-6, rtol=0)
    # The same as a run on a store that was described once and for all.
    describe_store(store.path, read_descriptions(file))
    assert main([*asked[:4], str(tmp_path / "other")]) == 0
    assert read_result(tmp_path / "other").metrics == run.metrics
    describe_store(store.path, {})

    capsys.readouterr()
    bench = ["bench", str(store.path), "--methods", "eszsl", "--out", str(tmp_path / "bench")]
    bench += ["--seeds", "1", "--processes", "1", "--json"]
    metrics = []
    for more in (["--descriptions", str(file)], ["--descriptions", str(file)], []):
        assert main([*bench, *more]) == 0
        [target] = json.loads(capsys.readouterr().out)["targets"].values()
        [result] = [one for one in target["results"] if one["method"] == "eszsl"]
        metrics.append((result["metrics"], result["class_embeddings"].get("descriptions")))
    assert metrics[0] == metrics[1]
    assert metrics[0][0] == run.metrics.model_dump()
    assert metrics[2][1] is None, "a bench with other descriptions is another bench"

    file.write_text("cat: a cat\n")
    for command in ([*asked[:4], str(tmp_path / "no")], bench):
        assert main([*command, "--descriptions", str(file)]) != 0
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "no description of" in err
        assert "'cat' is no class" in err


def test_names_are_told_once_as_they_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["predict", "--frozen", str(tmp_path / "no.mp4"), "--classes"]
    assert main([*asked, "BrushingTeeth", "ice cream", "playing-guitar", "x: XrayRoom"]) == 1
    err = capsys.readouterr().err
    line = "read as words: BrushingTeeth → brushing teeth, playing-guitar → playing guitar\n"
    assert err.count(line) == err.count("read as words") == 1
    many = [f"PlayingTheDrum{letter}x" for letter in "ABCDEF"]
    assert main([*asked, *many]) == 1
    assert "playing the drum dx, and 2 more\n" in capsys.readouterr().err


def test_joined_texts_read_a_new_name_each_in_its_own_way(tmp_path: Path) -> None:
    """As a run on CLIP and CLAP texts: what each text was made with is kept."""
    clip = f"clip,source={checkpoints.clip(tmp_path / 'clip')}"
    prompts = EncoderSpec("minilm", {"prompts": ["the sound of {}", "{}"]})
    one, other = class_embeddings(["dog", "rain"], [clip, prompts])
    joined = one.concatenate(other)
    joined.save(tmp_path / "text.safetensors")
    text = ClassEmbeddings.load(tmp_path / "text.safetensors")
    found = RunEncoders(Header(dataset="mine"), text).encode_names(["rain", "ice cream"])
    torch.testing.assert_close(found[0], joined.vectors[1], atol=1e-6, rtol=0)
    seen = load_text("clip", source=str(tmp_path / "clip")).encode(["ice cream"])[0]
    heard = load_text("minilm").encode(["the sound of ice cream", "ice cream"]).mean(dim=0)
    expected = torch.cat([seen, heard / heard.norm()]) / 2**0.5
    torch.testing.assert_close(found[1], expected, atol=1e-6, rtol=0)
