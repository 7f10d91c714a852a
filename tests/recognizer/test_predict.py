"""The recogniser against the same answer computed by hand from the method's scores."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ezav.classes import extend_class_embeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.cli.main import main
from ezav.encoders.registry import load_text
from ezav.errors import EzavError
from ezav.extraction.plan import class_embeddings
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.manifest import MANIFEST
from ezav.media import read_clip
from ezav.methods.base import Dims
from ezav.methods.zero_shot.method import ZeroShot, ZeroShotConfig
from ezav.protocol.run_folder import read_evaluation_file, read_model
from ezav.recognizer import Recognizer
from ezav.recognizer.encoders import RunEncoders
from ezav.training.scoring import score_all
from tests.recognizer import small_run, tiny_encoders

Stored = tuple[FeatureStore, Path]


def test_all_classes_agree_with_the_test_scores_of_the_run(stored: Stored) -> None:
    store, run = stored
    test = read_evaluation_file(run / "test.safetensors")
    recognizer = Recognizer.load(run)
    gamma = recognizer.result.gamma
    wanted = test.scores - gamma * test.seen
    clips = store.select("test_seen", "test_unseen")
    assert clips.clips == test.clips
    for row, one in enumerate(recognizer.predict(clips, top_k=3)):
        order = wanted[row].argsort(descending=True)[:3].tolist()
        assert [c.name for c in one.ranked] == [test.classes[c] for c in order]
        assert [c.score for c in one.ranked] == pytest.approx(wanted[row, order].tolist(), abs=1e-5)
        assert [c.kind for c in one.ranked] == ["seen" if test.seen[c] else "unseen" for c in order]
        z = np.append(np.asarray(wanted[row], dtype=np.float64), recognizer.calibration.none_)
        z /= recognizer.temperature_
        softmax = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        assert [c.probability for c in one.ranked] == pytest.approx(softmax[order], abs=1e-6)
        assert one.none == pytest.approx(softmax[-1], abs=1e-6)
        assert one.withheld == ""


def test_named_classes_are_exactly_the_candidates(stored: Stored) -> None:
    store, run = stored
    model, result = read_model(run)
    names = ["a bird that sings", "Dog  Barking", "chopping wood", "鳥のさえずり"]
    clips = store.select("test_unseen")
    raw = load_text("minilm").encode(names)
    rows = {n: i for i, n in enumerate(model.classes.names)}
    vectors = torch.stack(
        [
            raw[0],
            model.classes.vectors[rows["dog barking"]],
            model.classes.vectors[rows["chopping wood"]],
            raw[3],
        ]
    )
    only_seen = torch.tensor([False, True, False, False])
    wanted = score_all(model.method, clips, vectors) - result.gamma * only_seen
    for row, one in enumerate(Recognizer.load(run).predict(clips, names, top_k=10)):
        found = {c.name: c for c in one.ranked}
        assert set(found) == {"a bird that sings", "Dog Barking", "chopping wood", "鳥のさえずり"}
        assert [found[n].score for n in found] == sorted(
            (c.score for c in one.ranked), reverse=True
        )
        assert found["Dog Barking"].known_as == "dog barking"
        assert [found[n].kind for n in ("Dog Barking", "chopping wood", "鳥のさえずり")] == [
            "seen",
            "unseen",
            "new",
        ]
        assert found["a bird that sings"].score == pytest.approx(float(wanted[row, 0]), abs=1e-5)
        assert found["Dog Barking"].score == pytest.approx(float(wanted[row, 1]), abs=1e-5)
        assert found["鳥のさえずり"].score == pytest.approx(float(wanted[row, 3]), abs=1e-5)
        assert sum(c.probability or 0 for c in one.ranked) + (one.none or 0) == pytest.approx(1)


def test_new_names_of_a_map_of_the_text_follow_it_whatever_was_forgotten(
    stored: Stored, tmp_path: Path
) -> None:
    recipe = ClassEmbeddingRecipe(source="apart")
    recognizer = Recognizer.load(small_run.train(stored[0], tmp_path / "run", recipe))
    raw = small_run.text_embeddings(("a bird that sings", "walrus"))
    made = recognizer.model.classes
    wanted = recipe.extend(raw, recognizer.text, made).vectors
    found = recognizer.candidates(["a bird that sings", "walrus"]).new_vectors
    torch.testing.assert_close(found, wanted)
    recognizer.forget(small_run.NAMES[0])
    again = recognizer.candidates(["a bird that sings", "walrus"]).new_vectors
    assert torch.equal(again, found)
    again = recognizer.candidates([small_run.NAMES[0]]).new_vectors  # typed as a new name
    torch.testing.assert_close(again[0], made.select([small_run.NAMES[0]]).vectors[0])


def test_new_names_of_an_optimised_run_are_extended_one_by_one(
    stored: Stored, tmp_path: Path
) -> None:
    run = small_run.train(stored[0], tmp_path / "run", ClassEmbeddingRecipe())
    recognizer = Recognizer.load(run)
    clips = stored[0].select("test_unseen")
    raw = small_run.text_embeddings(("a bird that sings", "walrus"))
    wanted = extend_class_embeddings(raw, recognizer.text, recognizer.model.classes)
    candidates = recognizer.candidates(["walrus", "a bird that sings"])
    assert torch.allclose(candidates.new_vectors, wanted.vectors.flip(0), atol=1e-6)
    assert not torch.allclose(candidates.new_vectors, raw.vectors.flip(0), atol=1e-2)
    both = recognizer.predict(clips, ["walrus", "a bird that sings"])
    alone = recognizer.predict(clips, ["a bird that sings"])
    for pair, one in zip(both, alone):
        assert {c.name: c.score for c in pair.ranked}[one.best.name] == pytest.approx(
            one.best.score, abs=1e-5
        )
    same = recognizer.predict(clips, ["chopping  Wood"])[0].best
    assert (same.kind, same.known_as) == ("unseen", "chopping wood")


def test_none_of_these_does_not_depend_on_how_many_names_are_asked_for(stored: Stored) -> None:
    store, run = stored
    recognizer = Recognizer.load(run)
    clips = store.select("test_unseen")
    every = recognizer.predict(clips, explain=False)
    for row, one in enumerate(every):
        alone = recognizer.predict(clips.subset(torch.tensor([row])), [one.best.name])[0]
        assert (alone.best.probability, alone.none) == (None, None)
        assert alone.withheld == "there is one name only: nothing to choose from"
        assert alone.best.score == pytest.approx(one.best.score, abs=1e-5)
        assert alone.rejected == one.rejected
    threshold = recognizer.calibration.reject_threshold_
    assert [one.rejected for one in every] == [one.best.score < threshold for one in every]


def test_classes_are_compared_with_all_of_the_run_whatever_is_asked(recognizer: Recognizer) -> None:
    # Probabilities over the classes as scores: gamma, temperature and threshold were learned so.
    dim, draw = recognizer.text.dim, torch.Generator().manual_seed(0)
    sound, picture = (torch.randn(6, dim, generator=draw) for _ in range(2))
    clips = FeatureSet(
        Ragged.pooled(sound),
        Ragged.pooled(picture),
        torch.zeros(6, dtype=torch.long),
        tuple("abcdef"),
        ("",),
    )
    softmax = ZeroShot(ZeroShotConfig(fusion="softmax"), Dims(audio=dim, visual=dim, text=dim))
    recognizer.model = replace(recognizer.model, method=softmax)
    for every, alone in zip(
        recognizer.predict(clips, top_k=99, explain=False),
        recognizer.predict(clips, ["dog barking"], explain=False),
    ):
        score = {one.name: one.score for one in every.ranked}["dog barking"]
        assert alone.best.score == pytest.approx(score, abs=1e-6)


def test_a_missing_modality_is_said_and_only_two_have_contributions(stored: Stored) -> None:
    store, run = stored
    clips = store.select()
    found = {one.clip: one for one in Recognizer.load(run).predict(clips, explain=True)}
    silent, dark = found[f"{small_run.NAMES[0]}/0"], found[f"{small_run.NAMES[1]}/0"]
    assert (silent.modalities, set(silent.missing)) == (("visual",), {"audio"})
    assert (dark.modalities, set(dark.missing)) == (("audio",), {"visual"})
    assert silent.best.contributions == {} == dark.best.contributions
    whole = found[f"{small_run.NAMES[0]}/1"]
    assert set(whole.best.contributions) == {"audio", "visual"}


def test_a_clip_without_what_the_run_reads_gets_no_answer(stored: Stored, tmp_path: Path) -> None:
    run = small_run.train(stored[0], tmp_path / "run", modalities="audio")
    found = {one.clip: one for one in Recognizer.load(run).predict(stored[0].select())}
    silent, dark = found[f"{small_run.NAMES[0]}/0"], found[f"{small_run.NAMES[1]}/0"]
    assert "reads audio features only" in silent.error
    assert not silent.ranked
    assert dark.ranked


def test_contribution_is_the_log_probability_lost_without_the_modality(
    recognizer: Recognizer, stored: Stored
) -> None:
    clips = stored[0].select("test_unseen")
    empty = Ragged.from_clips([None] * len(clips), clips.audio.dim)
    deaf = FeatureSet(empty, clips.visual, clips.labels, clips.clips, clips.classes)
    with_sound = recognizer.predict(clips, top_k=99, explain=True)
    without = recognizer.predict(deaf, top_k=99, explain=False)
    for heard, unheard in zip(with_sound, without):
        after = {c.name: c.probability for c in unheard.ranked}
        for c in heard.ranked:
            lost = np.log(c.probability) - np.log(after[c.name])
            assert c.contributions["audio"] == pytest.approx(lost, abs=1e-3)
        assert unheard.best.contributions == {}


@pytest.mark.parametrize("kind", ["pooled", "temporal"])
def test_moments_are_answers_for_a_part_of_the_tokens(
    kind: str, timed: Stored, tmp_path: Path
) -> None:
    store, run = timed
    if kind == "pooled":
        run = small_run.train(store, tmp_path / "run")
    clips = store.select("test_unseen").subset(torch.tensor([0]))
    recognizer = Recognizer.load(run)
    one = recognizer.predict(clips, explain=True)[0]
    assert one.best.moments
    for moment in one.best.moments:
        inside = (clips.audio.times >= moment.start) & (clips.audio.times < moment.end)
        assert inside.any()
        for keep, wanted in ((inside, moment.alone), (~inside, None)):
            parts = [
                Ragged.from_clips([(x.values[keep], x.times[keep])])
                for x in (clips.audio, clips.visual)
            ]
            part = FeatureSet(*parts, clips.labels, clips.clips, clips.classes)
            answer = recognizer.predict(part, [*recognizer.classes], top_k=99, explain=False)[0]
            p = {c.name: c.probability for c in answer.ranked}[one.best.name]
            if wanted is None:
                lost = np.log(one.best.probability) - np.log(p)
                assert moment.contribution == pytest.approx(lost, abs=1e-3)
            else:
                assert wanted == pytest.approx(p, abs=1e-4)


def test_pooled_features_have_no_moments(recognizer: Recognizer, stored: Stored) -> None:
    clips = stored[0].select("train")
    assert not any(c.moments for c in recognizer.predict(clips, explain=True)[0].ranked)


@pytest.mark.parametrize(
    ("classes", "word"),
    [
        ([], "empty"),
        (["dog", "  "], "class 2 of 2 has an empty name"),
        (["dog", "dog"], "'dog' twice (numbers 1 and 2)"),
        (["walrus", "Walrus"], "'walrus' and 'Walrus', one class"),
        (["dog barking", "DOG_barking"], "one class"),
        ("dog", "must be a list"),
        (["a\x00b"], "cannot be printed"),
        (["x" * 600], "600 characters"),
        ([3], "not a name"),
        ([["a"]], "class 1 of 1 is not a name but list"),
        (["a"] * 50_001, "too many"),
    ],
)
def test_bad_lists_of_classes(recognizer: Recognizer, classes: list[str], word: str) -> None:
    with pytest.raises(EzavError) as error:
        recognizer.candidates(classes)
    assert word in str(error.value)


def test_names_may_come_one_by_one(recognizer: Recognizer) -> None:
    names = ["dog barking", "chopping wood"]
    assert recognizer.candidates(iter(names)).names == tuple(names)  # type: ignore[arg-type]


def test_thousands_of_names(recognizer: Recognizer, stored: Stored) -> None:
    recognizer.encoders.texts = (_Hashed(recognizer.text.dim),)  # type: ignore[misc, assignment]
    names = [f"thing number {n}" for n in range(3000)]
    clips = stored[0].select("test_unseen")
    one = recognizer.predict(clips, names, explain=False)[0]
    assert len(one.ranked) == 5
    assert 0 < sum(c.probability for c in one.ranked) < 1


class _Hashed:
    """A text encoder that is quick: random unit rows."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, names: list[str]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(len(names), self.dim, generator=generator)
        return torch.nn.functional.normalize(rows, dim=1)


def test_a_shuffled_control_refuses_new_names_and_keeps_its_own(
    stored: Stored, tmp_path: Path
) -> None:
    recipe = ClassEmbeddingRecipe(source="raw", shuffle=True)
    run = small_run.train(stored[0], tmp_path / "run", recipe)
    recognizer = Recognizer.load(run)
    with pytest.raises(EzavError, match="control experiment"):
        recognizer.candidates(["walrus"])
    assert recognizer.candidates(["chopping wood"]).kinds == ("unseen",)


def test_stored_features_of_another_encoder(recognizer: Recognizer) -> None:
    wrong = Ragged.pooled(torch.ones(1, 3))
    clips = FeatureSet(wrong, wrong, torch.zeros(1, dtype=torch.long), ("a",), ("b",))
    with pytest.raises(EzavError, match="audio features have 3 dimensions"):
        recognizer.predict(clips)


def test_a_run_without_its_encoders(stored: Stored, tmp_path: Path) -> None:
    run = shutil.copytree(stored[1], tmp_path / "run")
    with pytest.raises(EzavError, match="needs the visual encoder 'random'"):
        Recognizer.load(run).predict("clip.mp4")
    text = small_run.text_embeddings()
    (run / MANIFEST).unlink()
    type(text)(text.names, text.vectors, "gone@1").save(run / "text.safetensors")
    with pytest.raises(EzavError, match="needs the text encoder 'gone'"):
        Recognizer.load(run).candidates(["walrus"])
    type(text)(text.names, text.vectors, "minilm@2").save(run / "text.safetensors")
    with pytest.raises(EzavError, match="it was revision '2'"):
        Recognizer.load(run).candidates(["walrus"])


def test_encoders_that_take_a_device_get_the_one_asked_for(
    lights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Recognizer.load(lights[1], import_code=True).trained
    place = f"{tiny_encoders.__name__}:PlacedColour"
    encoders = tuple(
        one.model_copy(update={"name": place}) if one.modality == "visual" else one
        for one in trained.header.encoders
    )
    placed = replace(trained, header=trained.header.model_copy(update={"encoders": encoders}))
    # There may be no such device here: the method stays where it is.
    monkeypatch.setattr("ezav.recognizer.shareable.read", lambda *_: placed)
    monkeypatch.setattr("ezav.recognizer.shareable.choose_device", str)
    for opened in (
        Recognizer.load(lights[1], device="cuda:1", import_code=True),
        Recognizer.from_pretrained(lights[1], device="cuda:1", import_code=True),
    ):
        assert opened.encoders.visual.device == "cuda:1"  # type: ignore[attr-defined]
        # As the web page's workers load it.
        assert opened.encoders.spec("visual").options == {"device": "cuda:1"}
        assert opened.encoders.spec("audio").options == {}
        assert opened.encoders.audio.card.kind == "audio"


def test_new_names_with_a_text_encoder_whose_prompts_are_its_own(
    lights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (made,) = class_embeddings(["red light", "blue light"], f"{tiny_encoders.__name__}:Fixed")
    header = Recognizer.load(lights[1], import_code=True).header
    found = RunEncoders(header, made, import_code=True).encode_names(["red light", "walrus"])
    assert torch.equal(found[0], made.vectors[0])
    changed = tiny_encoders.Fixed.card.but(templates=("a picture of {}",))
    monkeypatch.setattr(tiny_encoders.Fixed, "card", changed)
    with pytest.raises(EzavError, match=r"made with the prompts \['a sound of \{\}'\]"):
        RunEncoders(header, made, import_code=True).encode_names(["walrus"])


def test_no_run(tmp_path: Path, stored: Stored) -> None:
    with pytest.raises(EzavError, match="no run at"):
        Recognizer.load(tmp_path)
    with pytest.raises(EzavError, match=f"did you mean '{stored[1]}'"):
        Recognizer.load(stored[1].parent)


def test_files_from_python_and_the_command_line_agree(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, run = lights
    silent = small_run.write_video(tmp_path / "silent.mp4", ["red light"], sound=False)
    dark = small_run.write_video(tmp_path / "dark.mp4", ["red light"], picture=False)
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video at all")
    good = videos / "green light" / "0.mp4"
    paths = [silent, broken, dark, good]
    names = ["green light", "a lamp that shines red", "ein Hund bellt"]
    loaded = Recognizer.load(run, import_code=True)
    found = loaded.predict(paths, names, explain=True)
    assert [bool(one.error) for one in found] == [False, True, False, False]
    assert "not a media file" in found[1].error
    assert found[0].missing == {"audio": "no audio stream"}
    assert found[2].missing == {"visual": "no video stream"}
    assert found[3].best.moments
    assert not loaded.predict(good, names)[0].best.moments  # only where it is asked for

    arguments = ["predict", "--import", str(run), *map(str, paths), "--explain", "--json"]
    assert main([*arguments, "--classes", *names]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["predictions"][3]["ranked"][0]["moments"]
    assert told["unread"] == [str(broken)]
    for mine, theirs in zip(found, told["predictions"]):
        assert [c.name for c in mine.ranked] == [c["name"] for c in theirs["ranked"]]
        for a, b in zip(mine.ranked, theirs["ranked"]):
            assert a.score == pytest.approx(b["score"], abs=1e-4)
            assert a.probability == pytest.approx(b["probability"], abs=1e-4)

    assert main(["predict", "--import", str(run), str(broken)]) == 1
    assert f"  {broken}: {found[1].error}\n" in capsys.readouterr().err  # on one line
    assert main(["predict", "--import", str(run), str(good), str(silent)]) == 0
    text = capsys.readouterr().out
    assert "seen" in text
    assert "no sound (no audio stream): answered from the picture alone" in text
    assert main(["predict", "--import", str(run), str(good), "--classes", "a", "a"]) == 1
    assert "'a' twice" in capsys.readouterr().err


def test_numbers_that_json_does_not_have_are_null(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(lights[0] / "red light" / "0.mp4")
    Recognizer.load(lights[1], import_code=True).save_pretrained(tmp_path)
    (tmp_path / MANIFEST).unlink()
    path = tmp_path / "calibration.json"
    data = json.loads(path.read_text())
    # As a folder holds it that was saved before, and as it is written now.
    for never in (-np.inf, None):
        path.write_text(json.dumps({**data, "reject_threshold_": never, "ece_": np.nan}))
        assert Recognizer.load(tmp_path).calibration.reject_threshold_ == -np.inf
        assert main(["predict", "--import", str(tmp_path), clip, "--json"]) == 0
        told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert told["reject_threshold"] is told["ece"] is None
        assert not told["predictions"][0]["rejected"]


def test_a_decoded_clip_is_the_file(lights: tuple[Path, Path]) -> None:
    videos, run = lights
    recognizer = Recognizer.load(run, import_code=True)
    path = videos / "red light" / "1.mp4"
    needs = [encoder.card.needs for encoder in recognizer.encoders.by_slot.values()]
    clip = read_clip(path, video=needs[0].frame_spec, audio=needs[1].sample_rate)
    assert recognizer.predict(clip) == recognizer.predict(path)


def test_names_that_the_encoder_cannot_tell_apart_are_told(recognizer: Recognizer) -> None:
    found = recognizer.candidates(["ឆ្កែ", "ឆ្មា", "dog barking", "violin"])
    told = "\n".join(found.remarks)
    assert "'ឆ្កែ': none of its letters are known to the text encoder" in told
    assert "'ឆ្កែ', 'ឆ្មា' are one vector" in told
    assert "violin" not in told
    # What the text does not tell apart gets one score.
    assert torch.equal(found.new_vectors[0], found.new_vectors[1])
    assert recognizer.candidates(["a violin", "dog barking"]).remarks == ()
    assert recognizer.candidates().remarks == ()


def test_remarks_come_with_the_answer(
    stored: tuple[FeatureStore, Path], recognizer: Recognizer
) -> None:
    clips = stored[0].select("test_seen")
    one = recognizer.predict(clips, ["ឆ្កែ", "violin"])[0]
    assert one.remarks == recognizer.candidates(["ឆ្កែ", "violin"]).remarks != ()


@pytest.mark.parametrize(
    "name", ["dog\u200b barking", "\ufeffdog barking", "dog\u00a0barking", "Ｄog  barking"]
)
def test_a_name_that_looks_like_one_of_the_run_is_it(recognizer: Recognizer, name: str) -> None:
    assert recognizer.candidates([name]).columns.tolist() == [
        recognizer.classes.index("dog barking")
    ]
    with pytest.raises(EzavError, match=r"one class|twice"):
        recognizer.candidates(["dog barking", name + "\u200b", "Dog barking"])


def test_a_run_that_guesses_says_so_wherever_it_answers(
    lights: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result of the run with recalls as a guess has them."""
    run = tmp_path / "run"
    shutil.copytree(lights[1], run)
    (run / "manifest.json").unlink()  # the change is meant
    path = run / "result.json"
    data = json.loads(path.read_text())
    for one in data["per_class"]:
        one["recall"] = one["zsl_recall"] = 1.0
    data["metrics"] |= {"S": 1.0, "U": 1.0, "HM": 1.0, "ZSL": 1.0}
    data["controls"] = {}  # they were measured on the answers as they were
    path.write_text(json.dumps(data))
    assert Recognizer.load(run, import_code=True).caution == ""
    for one in data["per_class"]:
        one["recall"] = 1 / 8
        one["zsl_recall"] = None if one["seen"] else 0.5
    data["metrics"] |= {"S": 1 / 8, "U": 1 / 8, "HM": 1 / 8, "ZSL": 0.5}
    path.write_text(json.dumps(data))
    caution = Recognizer.load(run, import_code=True).caution
    assert caution.startswith("NO BETTER THAN GUESSING: HM 12.5%")
    clip = lights[0] / "red light" / "0.mp4"
    assert main(["predict", "--import", str(run), str(clip)]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"this run: {caution}")


def test_a_single_candidate_has_no_percentage(
    lights: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(lights[0] / "red light" / "0.mp4")
    assert main(["predict", "--import", str(lights[1]), clip, "--classes", "walrus"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "walrus" in line)
    assert "%" not in line
    assert main(["predict", "--import", str(lights[1]), clip, "--top-k", "1"]) == 0
    assert "%" in capsys.readouterr().out.splitlines()[1]  # one of eight is shown


def test_what_a_run_folder_lacks_is_said_with_the_remedy(stored: Stored, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stored[1], run)
    (run / "manifest.json").unlink()
    (run / "validation.safetensors").unlink()
    assert Recognizer.load(run).calibration.fitted  # what was learned stands in a file of its own
    (run / "calibration.json").unlink()
    with pytest.raises(EzavError, match=r"lacks 'validation.safetensors'; get the folder again"):
        Recognizer.load(run)
    (run / "result.json").write_text((run / "result.json").read_text()[:100])
    with pytest.raises(EzavError, match=r"is damaged: .*; get the folder again, or run it again"):
        Recognizer.load(run)


def test_where_percentages_do_not_hold_there_are_none(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = Recognizer.load(stored[1])
    clips = stored[0].select("test_unseen")
    given = recognizer.predict(clips)
    monkeypatch.setattr("ezav.protocol.calibration.MOST_ECE", -1.0)
    for one, before in zip(recognizer.predict(clips), given, strict=True):
        assert one.withheld.startswith("on clips of classes held out they were off by")
        assert [c.probability for c in one.ranked] == [None] * len(one.ranked)
        assert one.none is None
        assert [(c.name, c.score) for c in one.ranked] == [(c.name, c.score) for c in before.ranked]
        assert one.rejected == before.rejected
        assert json.loads(json.dumps(one.as_dict()))["ranked"][0]["probability"] is None
