"""Teaching against the same scores computed by hand, and what must never be lost by it."""

from __future__ import annotations

import json
import math
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize

import ezav.methods.common.few_shot as few
from ezav.cli.main import main
from ezav.errors import DamagedError, EzavError, NotFoundError
from ezav.export import export
from ezav.features import FeatureStore
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.manifest import write_manifest
from ezav.methods.common.few_shot import FewShot, FewShotFold, fit_few_shot, likeness
from ezav.protocol.verify import verify_run
from ezav.recognizer import Recognizer
from ezav.recognizer import folder as on_disk
from tests.recognizer import small_run

Run = tuple[FeatureStore, Path]
NEW = "zorbing"


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the default method on a small store."""
    folder = tmp_path_factory.mktemp("best")
    store = small_run.feature_store(folder / "store", clips_per_class=12)
    assert main(["run", "best", str(folder / "store"), "--out", str(folder / "run")]) == 0
    return store, folder / "run"


def of_class(store: FeatureStore, name: str) -> FeatureSet:
    clips = store.select()
    return clips.subset((clips.labels == store.classes.index(name)).nonzero()[:, 0])


def some(clips: FeatureSet, *rows: int) -> FeatureSet:
    return clips.subset(torch.tensor(rows, dtype=torch.long))


def scores(
    recognizer: Recognizer, clips: FeatureSet, names: list[str], together: bool = False
) -> np.ndarray:
    found = recognizer.predict(clips, classes=names, top_k=len(names), together=together)
    return np.array(
        [[{c.name: c.score for c in one.ranked}[name] for name in names] for one in found]
    )


def test_likeness_is_the_cosine_over_what_both_have() -> None:
    draw = np.random.default_rng(0)
    sound, picture = draw.normal(size=(5, 3)), draw.normal(size=(5, 4))
    sound[1], picture[2] = 0, 0
    own, its = draw.normal(size=(2, 3)), draw.normal(size=(2, 4))
    own[1] = 0
    cosine, known = likeness(
        [torch.tensor(sound), torch.tensor(picture)], [torch.tensor(own), torch.tensor(its)]
    )
    for n in range(5):
        for p in range(2):
            pairs = [(x[n], y[p]) for x, y in ((sound, own), (picture, its)) if x[n].any()]
            pairs = [(x, y) for x, y in pairs if y.any()]
            assert bool(known[n, p]) == bool(pairs)
            if pairs:
                x, y = (np.concatenate(side) for side in zip(*pairs))
                wanted = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
                assert float(cosine[n, p]) == pytest.approx(wanted, abs=1e-6)


def test_what_is_learned_is_the_minimum_of_the_plain_cross_entropy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(few, "SIMULATED", (1, 2))
    monkeypatch.setattr(few, "_PULL", 0.3)  # so that both optimizers end at the same place
    draw = torch.Generator().manual_seed(0)
    # The three clips of a class look alike, so that it does not matter which ones show it.
    targets = torch.arange(4).repeat_interleave(3)
    looks = torch.randn(4, 6, generator=draw) + 1.5 * torch.randn(4, 6, generator=draw)
    parts, plain = looks[targets], torch.randn(4, 4, generator=draw)[targets]
    seen = torch.tensor([True, True, False, False])
    found = fit_few_shot([FewShotFold(plain, targets, seen, (parts,))], sharpness=2.0)
    start = np.array([4.25, 0.23, 0.15, 0.05])

    def loss(at: np.ndarray) -> float:
        total = 0.0
        for label, count in ((2, 1), (2, 2), (3, 1), (3, 2)):
            z, x = plain.double().numpy().copy(), parts.double().numpy()
            m = x[3 * label]
            cosine = x @ m / np.linalg.norm(x, axis=1) / np.linalg.norm(m)
            log = math.log(count)
            z[:, label] += (at[0] + at[1] * log) * (cosine - at[2] - at[3] * log)
            z *= 2.0
            chance = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            right = -np.log(chance[np.arange(12), targets.numpy()])
            others = [row for row in range(12) if targets[row] != label]
            total += 0.5 * right[3 * label] + 0.5 * right[others].mean()
        return total / 4 + 0.3 * float(((at - start) ** 2).sum())

    tight = {"gtol": 1e-8}
    expected = minimize(loss, start, method="BFGS", jac="3-point", options=tight).x
    assert np.abs(expected - start).max() > 0.05  # the check can fail
    np.testing.assert_allclose(astuple(found), expected, atol=1e-4)


def test_a_taught_class_scores_by_its_name_and_its_clips(best: Run) -> None:
    store, run = best
    clips = of_class(store, "bird singing")
    plain, taught = Recognizer.load(run), Recognizer.load(run)
    (said,) = taught.teach({NEW: some(clips, 2, 3, 5)})
    assert (said.new, said.added, said.clips) == (True, 3, 3)
    assert taught.taught == {NEW: 3}
    assert taught.classes == (*plain.classes, NEW)
    every = store.select("test_seen", "test_unseen")
    names = [*plain.classes, NEW]
    before, after = scores(plain, every, names), scores(taught, every, names)
    assert after[:, :-1] == pytest.approx(before[:, :-1], abs=1e-5)
    forms, learned = plain.model.method.forms, plain.model.method.few_shot
    units = []
    for stored, unit in ((clips.audio, forms.audio), (clips.visual, forms.visual)):
        rows = (stored.means[[2, 3, 5]] - unit.mean_) / unit.scale_
        units.append((rows / rows.norm(dim=1, keepdim=True)).mean(dim=0))
    k = math.log(3)
    weight = learned.weight + learned.weight_log * k
    offset = learned.offset + learned.offset_log * k
    for row in range(len(every)):
        sides = []
        for stored, unit, mean in (
            (every.audio, forms.audio, units[0]),
            (every.visual, forms.visual, units[1]),
        ):
            if int(stored.lengths[row]):
                x = (stored.means[row] - unit.mean_) / unit.scale_
                sides.append((x / x.norm(), mean))
        x, y = (torch.cat(side) for side in zip(*sides))
        added = weight * (float(x @ y / x.norm() / y.norm()) - offset)
        assert after[row, -1] - before[row, -1] == pytest.approx(added, abs=1e-4)


def test_a_word_that_means_nothing_is_known_after_two_clips(best: Run) -> None:
    store, run = best
    recognizer = Recognizer.load(run)
    clips = of_class(store, "bird singing")
    rest = some(clips, *range(2, len(clips)))
    others = store.select("test_seen")
    recognizer.forget("bird singing")
    names = [*recognizer.classes, NEW]
    before = recognizer.predict(others, classes=names)
    right = [one.best.name == NEW for one in recognizer.predict(rest, classes=names)]
    recognizer.teach({NEW: some(clips, 0, 1)})
    found = recognizer.predict(rest)
    assert sum(right) <= 2
    assert sum(one.best.name == NEW for one in found) == len(rest)
    assert {one.best.kind for one in found} == {"taught"}
    truth = [store.classes[label] for label in others.labels.tolist()]
    was, now = (
        sum(one.best.name == name for one, name in zip(told, truth, strict=True))
        for told in (before, recognizer.predict(others))
    )
    assert now >= was - 1


def test_a_trained_class_is_only_ever_raised(best: Run) -> None:
    store, run = best
    plain, taught = Recognizer.load(run), Recognizer.load(run)
    name = plain.seen[0]
    other = next(one for one in store.classes if one != name)
    (said,) = taught.teach({name.upper(): some(of_class(store, other), 3, 4)})
    assert (said.name, said.new) == (name, False)
    every = store.select()
    moved = scores(taught, every, [name]) - scores(plain, every, [name])
    assert moved.min() > -1e-5
    assert moved.max() > 0.5
    assert taught.predict(every)[0].ranked[0].kind in {"seen", "unseen"}


def test_what_was_taught_is_read_again_wherever_it_was_written(best: Run, tmp_path: Path) -> None:
    store, run = best
    mine = copied(run, tmp_path / "mine")
    files = {path.name: path.read_bytes() for path in mine.iterdir()}
    recognizer = Recognizer.load(mine)
    recognizer.teach(
        {
            NEW: some(of_class(store, "bird singing"), 0, 1),
            "walrus": some(of_class(store, "chopping wood"), 0),
        }
    )
    recognizer.rename("sea waves breaking", "surf")
    recognizer.rename("walrus", "a walrus")
    recognizer.forget("riding a horse")
    recognizer.save_taught(mine)
    recognizer.save_pretrained(tmp_path / "shared")
    clips = store.select()
    wanted = [[(c.name, c.kind, c.score) for c in one.ranked] for one in recognizer.predict(clips)]
    for place in (mine, tmp_path / "shared"):
        again = Recognizer.load(place)
        assert again.classes == recognizer.classes
        assert set(again.classes) >= {NEW, "surf", "a walrus"}
        assert not {"riding a horse", "walrus", "sea waves breaking"} & set(again.classes)
        found = [[(c.name, c.kind, c.score) for c in one.ranked] for one in again.predict(clips)]
        assert found == wanted
        assert verify_run(place).sound
    for name, data in files.items():
        if name != "manifest.json":
            assert (mine / name).read_bytes() == data
    card = (tmp_path / "shared" / "README.md").read_text()
    assert NEW in card
    again.forget(NEW)
    again.forget("a walrus")
    again.rename("surf", "sea waves breaking")
    again.save_taught(tmp_path / "shared")
    last = Recognizer.load(tmp_path / "shared")
    assert last.taught == {}
    assert set(last.classes) == set(Recognizer.load(run).classes) - {"riding a horse"}


def test_a_kill_between_the_two_writes_leaves_what_was_there(
    best: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = best
    mine = copied(run, tmp_path / "mine")
    recognizer = Recognizer.load(mine)
    recognizer.teach({NEW: some(of_class(store, "bird singing"), 0)})
    recognizer.save_taught(mine)
    recognizer.teach({"walrus": some(of_class(store, "chopping wood"), 0)})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(on_disk, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            recognizer.save_taught(mine)
    assert Recognizer.load(mine).taught == {NEW: 1}
    assert verify_run(mine).sound
    recognizer.save_taught(mine)
    assert Recognizer.load(mine).taught == {NEW: 1, "walrus": 1}
    assert len(list(mine.glob("taught-*"))) == 1


def test_a_file_that_the_manifest_does_not_name_teaches_nothing(best: Run, tmp_path: Path) -> None:
    store, run = best
    mine = copied(run, tmp_path / "mine")
    recognizer = Recognizer.load(mine)
    recognizer.teach({NEW: some(of_class(store, "bird singing"), 0)})
    recognizer.save_taught(mine)
    (file,) = mine.glob("taught-*")
    foreign = copied(run, tmp_path / "foreign")
    (foreign / file.name).write_bytes(file.read_bytes())
    assert Recognizer.load(foreign).taught == {}
    tensors = load_file(file)
    tensors["0.vector"] = tensors["0.vector"].flip(0)
    save_file(tensors, file, {"taught": "{}"})
    with pytest.raises(DamagedError, match="was changed after it was written"):
        Recognizer.load(mine)
    on_disk.write_manifest(mine)
    with pytest.raises(DamagedError, match="is damaged"):
        Recognizer.load(mine)


def test_what_is_wrong_is_one_line_and_teaches_nothing(best: Run) -> None:
    store, run = best
    recognizer = Recognizer.load(run)
    birds, wood = of_class(store, "bird singing"), of_class(store, "chopping wood")
    recognizer.teach({NEW: some(birds, 0, 1)})
    dark = FeatureSet(
        Ragged.from_clips([None], small_run.AUDIO),
        Ragged.from_clips([None], small_run.VISUAL),
        torch.zeros(1, dtype=torch.long),
        ("dark.mp4",),
        ("",),
    )
    name = birds.clips[1]
    for lesson, message in (
        ({"walrus": some(birds, 1)}, f"'{name}' shows '{NEW}' already and cannot show 'walrus'"),
        ({"walrus": some(birds, 4), "seal": some(birds, 4)}, "shows 'walrus' already"),
        ({"walrus": wood, "a seal": dark}, "'dark.mp4' has nothing that the recogniser reads"),
        ({"walrus": some(wood)}, "no clip shows 'walrus'"),
        ({"walrus": some(wood, 0), "Walrus": some(wood, 1)}, "one class"),
        ({"": some(wood, 0)}, "empty name"),
    ):
        with pytest.raises(EzavError, match=message.replace("(", r"\(")):
            recognizer.teach(lesson)
        assert recognizer.taught == {NEW: 2}
        assert "walrus" not in recognizer.classes
    (said,) = recognizer.teach({NEW: some(birds, 1, 2, 2)})
    assert (said.added, said.repeated, said.clips) == (1, 2, 3)
    with pytest.raises(NotFoundError, match="no class 'walrus'"):
        recognizer.forget("walrus")
    with pytest.raises(EzavError, match="'chopping wood' is another class"):
        recognizer.rename(NEW, "Chopping Wood")
    for one in recognizer.classes[1:]:
        recognizer.forget(one)
    with pytest.raises(EzavError, match="none would be left"):
        recognizer.forget(recognizer.classes[0])


def test_any_other_method_is_taught_by_standardised_features(stored: Run, tmp_path: Path) -> None:
    store, run = stored
    plain, taught = Recognizer.load(run), Recognizer.load(run)
    clips = store.select("test_unseen")
    shown = some(clips, 0, 1)
    taught.teach({NEW: shown})
    names = [*plain.classes, NEW]
    before, after = scores(plain, clips, names), scores(taught, clips, names)
    assert after[:, :-1] == pytest.approx(before[:, :-1], abs=1e-5)
    known, units = store.select("train", "val_seen", "val_unseen"), []
    for side in ("audio", "visual"):
        rows = getattr(known, side).means[getattr(known, side).lengths > 0].double().numpy()
        spread = rows.std(axis=0)
        stored_ = getattr(clips, side)
        unit = (stored_.means.double().numpy() - rows.mean(axis=0)) / (spread + 0.1 * spread.mean())
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        units.append(unit * (stored_.lengths > 0).numpy()[:, None])
    unit = np.concatenate(units, axis=1)
    mean = unit[:2].mean(axis=0)
    assert plain.trained.appearance is not None
    weight, offset = plain.trained.appearance.few_shot.of(torch.tensor([2]))
    for row in range(len(clips)):
        there = np.concatenate([np.full(one.shape[1], one[row].any()) for one in units])
        own, its = unit[row] * there, mean * there
        cosine = own @ its / np.linalg.norm(own) / np.linalg.norm(its)
        added = float(weight) * (cosine - float(offset))
        assert after[row, -1] - before[row, -1] == pytest.approx(added, abs=1e-4)
    taught.save_pretrained(tmp_path / "saved")
    again = Recognizer.load(tmp_path / "saved")
    assert scores(again, clips, names) == pytest.approx(after, abs=1e-5)
    again.teach({NEW: some(clips, 2)})
    assert again.taught == {NEW: 3}


def test_a_run_that_learned_nothing_of_clips_says_so(stored: Run, tmp_path: Path) -> None:
    store, run = stored
    old = copied(run, tmp_path / "old")
    (old / "appearance.safetensors").unlink()
    write_manifest(old)
    with pytest.raises(EzavError, match=r"EZ-AVGZL did not learn .*; run it again"):
        Recognizer.load(old).teach({NEW: some(store.select(), 5)})
    damaged = copied(run, tmp_path / "damaged")
    (damaged / "appearance.safetensors").write_bytes(b"nothing")
    write_manifest(damaged)
    with pytest.raises(DamagedError, match=r"appearance.safetensors' is damaged"):
        Recognizer.load(damaged)


def test_a_taught_recogniser_is_exported(best: Run, tmp_path: Path) -> None:
    store, run = best
    recognizer = Recognizer.load(run)
    recognizer.teach({NEW: some(of_class(store, "bird singing"), 0, 1)})
    done = export(recognizer, tmp_path / "out", clips=store.select("test_unseen"))
    assert max(one.scores for one in done.parity) < 1e-4
    told = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert told[-1]["name"] == NEW


def test_few_clips_weigh_by_their_number() -> None:
    one = FewShot(4.0, 1.0, 0.2, 0.1)
    counts = torch.tensor([1, 3, 20, 90])
    weights, offsets = one.of(counts)
    for weight, offset, k in zip(weights.tolist(), offsets.tolist(), (1, 3, 20, 20)):
        assert weight == pytest.approx(4 + math.log(k), abs=1e-5)
        assert offset == pytest.approx(0.2 + 0.1 * math.log(k), abs=1e-5)


def copied(run: Path, to: Path) -> Path:
    to.mkdir()
    for path in run.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_one_without_a_run_is_taught(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    looks = 5 * torch.randn(2, 1, 1280, generator=draw)  # each of other labels
    pictures = (looks + 0.3 * torch.randn(2, 6, 1280, generator=draw)).flatten(0, 1)
    clips = FeatureSet(
        Ragged.from_clips([None] * 12, 1),
        Ragged.pooled(pictures),
        torch.zeros(12, dtype=torch.long),
        tuple(map(str, range(12))),
        ("",),
    )
    recognizer = Recognizer.frozen()
    names = ["a dog", "rain", "a violin"]
    before = recognizer.predict(clips, classes=names)
    recognizer.teach({NEW: some(clips, 0, 1, 2)})
    assert recognizer.classes == (NEW,)
    found = recognizer.predict(clips, classes=[*names, NEW])
    assert [one.best.name == NEW for one in found] == [True] * 6 + [False] * 6
    assert {one.best.kind for one in found[:6]} == {"taught"}
    assert [one.best.name for one in found[6:]] == [one.best.name for one in before[6:]]
    # Together, each clip is given what its own likeness to the clips shown adds.
    every = [*names, NEW]
    plain = Recognizer.frozen()
    added = scores(recognizer, clips, every) - scores(plain, clips, every)
    joint = scores(plain, clips, every, together=True)
    assert abs(joint - scores(plain, clips, every)).max() > 0.01
    assert scores(recognizer, clips, every, together=True) == pytest.approx(joint + added, abs=1e-4)
    recognizer.forget(NEW)
    again = recognizer.predict(clips, classes=names)
    assert [one.best.score for one in again] == [one.best.score for one in before]
    # Names that it was saved with are taught under what is behind them, and may go.
    recognizer.save(tmp_path / "saved", ["a dog: a dog that barks", "rain"])
    saved = Recognizer.load(tmp_path / "saved")
    before = saved.predict(clips, top_k=2)
    saved.teach({"A dog": some(clips, 0), "rain": some(clips, 7)})
    saved.save_taught(tmp_path / "saved")
    again = Recognizer.load(tmp_path / "saved")
    assert (again.classes, again.taught) == (saved.classes, {"a dog": 1, "rain": 1})
    found = again.predict(clips, top_k=2)
    for old, new in zip(before, found, strict=True):
        moved = {one.name: one.score for one in new.ranked}
        assert any(abs(moved[one.name] - one.score) > 0.1 for one in old.ranked)
    assert [one.best.name for one in found] == ["a dog"] * 6 + ["rain"] * 6
    again.forget("rain")
    assert again.classes == ("a dog",)
