"""Class folds: every class unseen once, sources whole, no test clip, one line for bad input."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.header import SplitOrigin
from ezav.features.redraw import redrawn
from ezav.methods.base import Method
from ezav.methods.best.method import Best
from ezav.methods.ez_avgzl.method import EzAvgzlConfig
from ezav.protocol import TwoStageProtocol, read_model, read_result, write_run
from ezav.protocol.by_folds import fold_data
from ezav.protocol.default_folds import learns_on_folds
from ezav.protocol.folds import class_folds
from ezav.protocol.run_folder import checkpoint_of
from ezav.protocol.verify import verify_run
from ezav.training.config import TrainingConfig
from tests import worlds

LABELS = torch.arange(7).repeat_interleave(10)
CONFIG = EzAvgzlConfig(width=16, hidden=16, heads=2, head_dim=8, mlp=16, dropout=0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return worlds.store(tmp_path_factory.mktemp("store") / "tiny")


def test_every_class_is_unseen_once_and_every_clip_has_one_part() -> None:
    folds = class_folds(LABELS, 7, 3, seed=4)
    assert sorted(torch.cat([fold.unseen for fold in folds]).tolist()) == list(range(7))
    for fold in folds:
        parts = fold.train, fold.seen_clips, fold.unseen_clips
        assert sorted(torch.cat(parts).tolist()) == list(range(70))
        unseen = set(fold.unseen.tolist())
        assert set(LABELS[fold.unseen_clips].tolist()) == unseen
        assert not unseen & set(LABELS[torch.cat([fold.train, fold.seen_clips])].tolist())
        for label in set(range(7)) - unseen:
            assert int((LABELS[fold.seen_clips] == label).sum()) == 2  # a fifth of ten


def test_a_source_is_trained_on_or_held_out_whole() -> None:
    sources = [f"class {label}, take {row % 4}" for row, label in enumerate(LABELS.tolist())]
    for fold in class_folds(LABELS, 7, 3, groups=sources):
        trained = {sources[row] for row in fold.train.tolist()}
        held = {sources[row] for row in fold.seen_clips.tolist()}
        assert held
        assert not trained & held


def test_another_seed_divides_otherwise() -> None:
    first, again, other = (class_folds(LABELS, 7, 3, seed=seed)[0] for seed in (0, 0, 1))
    assert first.unseen.tolist() == again.unseen.tolist()
    assert first.seen_clips.tolist() == again.seen_clips.tolist()
    assert first.seen_clips.tolist() != other.seen_clips.tolist()


def test_a_class_with_one_clip_or_one_source_is_trained_on() -> None:
    labels = torch.cat([LABELS, torch.tensor([7])])
    for fold in class_folds(labels, 8, 4):
        assert 70 in torch.cat([fold.train, fold.unseen_clips]).tolist()
    sources = ["one tape" if label == 0 else str(row) for row, label in enumerate(LABELS.tolist())]
    for fold in class_folds(LABELS, 7, 3, groups=sources):
        assert 0 not in LABELS[fold.seen_clips].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LABELS[:30], 3, 2), "3 known classes are too few for 2 class folds"),
        ((LABELS, 7, 9), "7 known classes are too few for 9 class folds"),
        ((LABELS, 7, 1), "1 class folds"),
        ((torch.arange(6), 6, 2), "nothing can be held out"),
    ],
)
def test_what_cannot_be_divided_is_one_line(arguments: tuple, message: str) -> None:
    with pytest.raises(EzavError, match=message) as caught:
        class_folds(*arguments)
    assert "\n" not in str(caught.value)


def test_groups_that_cover_every_class_are_one_line() -> None:
    sources = [f"class {label}" for label in LABELS.tolist()]
    with pytest.raises(EzavError, match="clips of two sources"):
        class_folds(LABELS, 7, 3, groups=sources)


def test_folds_hold_known_clips_and_known_classes_only(store) -> None:
    """The two test classes are no candidates of a fold, and no test clip is in one."""
    protocol = TwoStageProtocol(method="best")
    stage = protocol.reader(store).stage(2)
    tested = set(store.select("test_seen", "test_unseen").clips)
    for fold in fold_data(stage, 4, 1, seed=0):
        assert fold.stage.classes == store.classes[:10]
        trained, held = set(fold.stage.train.clips), set(fold.held_out.clips)
        assert not (trained | held) & tested
        assert not trained & held
        names = fold.stage.train.classes
        own = {names[row] for row in fold.stage.train.labels.tolist()}
        assert own == {n for n, s in zip(fold.stage.classes, fold.stage.seen.tolist()) if s}
        position = {clip: row for row, clip in enumerate(stage.train.clips)}
        for clip, label in zip(fold.held_out.clips, fold.held_out.labels.tolist(), strict=True):
            right = stage.train.classes[int(stage.train.labels[position[clip]])]
            assert fold.stage.classes[label] == right


def test_best_learns_from_folds_and_lives_in_a_run_folder(store, tmp_path: Path) -> None:
    fitted = TwoStageProtocol(method="best").fit(store)
    assert len(fitted.folds_) == 10  # ten known classes: five folds, divided twice
    result = write_run(fitted, tmp_path / "run")
    assert result.folds == 10
    assert result.validation_error is not None
    assert 0 <= result.validation_error < result.validation.HM
    assert set(result.members) == {"kernel", "linear", "identity"}
    assert result.metrics.HM > result.chance.HM + 0.3
    model, again = read_model(tmp_path / "run")
    assert again == read_result(tmp_path / "run") == result
    assert isinstance(model.method, Best)
    worth = model.method.worth()
    assert {name: one.weight for name, one in worth.items()} == pytest.approx(
        {name: one.weight for name, one in result.members.items()}
    )
    test = fitted.test()
    clips = store.select("test_seen", "test_unseen")
    index = torch.arange(len(clips))
    scores = model.method.scores(
        clips.audio.gather(index, pooled=True),
        clips.visual.gather(index, pooled=True),
        model.classes.vectors,
    )
    torch.testing.assert_close(scores, test.scores)


def test_an_epoch_counts_by_all_folds(store) -> None:
    training = TrainingConfig(epochs=3, batch_size=32)
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training, folds=2)
    fitted = protocol.fit(store)
    assert len(fitted.folds_) == 2
    assert [epoch.log.epoch for epoch in fitted.history_] == [1, 2, 3]
    assert 1 <= fitted.epoch_ <= 3
    assert fitted.gamma_ == fitted.history_[fitted.epoch_ - 1].gamma
    assert protocol.validate(store).gamma == fitted.gamma_


def test_an_interrupted_choice_goes_on(store, tmp_path: Path, monkeypatch) -> None:
    training = TrainingConfig(epochs=3, batch_size=32)
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training, folds=2)
    whole = protocol.fit(store)
    from ezav.training import checkpoint

    made = checkpoint.Checkpoint.__init__
    monkeypatch.setattr(
        checkpoint.Checkpoint, "__init__", lambda self, path, key: made(self, path, key, 0.0)
    )
    kept = checkpoint_of(tmp_path / "run")

    def stop(stage: int, epochs: int, epoch: object) -> None:
        seen.append(stage)
        if len(seen) == 2:  # the state of the first epoch has been written
            raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        protocol.fit(store, stop, kept)
    epochs: list[int] = []
    again = protocol.fit(store, lambda stage, _, epoch: epochs.append(stage), kept)
    assert epochs.count(1) == 2  # of three
    assert (again.epoch_, again.gamma_) == (whole.epoch_, whole.gamma_)
    torch.testing.assert_close(again.test().scores, whole.test().scores)


def test_what_stops_in_the_last_training_does_not_choose_again(
    store, tmp_path: Path, monkeypatch
) -> None:
    training = TrainingConfig(epochs=2, batch_size=32)
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training, folds=2)
    whole = protocol.fit(store)
    from ezav.training import checkpoint

    made = checkpoint.Checkpoint.__init__
    monkeypatch.setattr(
        checkpoint.Checkpoint, "__init__", lambda self, path, key: made(self, path, key, 0.0)
    )
    kept = checkpoint_of(tmp_path / "run")
    protocol.fit(store, checkpoint=kept)  # its last state is the end of the last training
    stages: list[int] = []
    again = protocol.fit(store, lambda stage, _, epoch: stages.append(stage), kept)
    assert not stages
    assert (again.epoch_, again.gamma_) == (whole.epoch_, whole.gamma_)
    assert len(again.folds_) == 2
    torch.testing.assert_close(again.test().scores, whole.test().scores)


def test_eszsl_learns_its_penalties_from_all_folds(store) -> None:
    fitted = TwoStageProtocol(method="eszsl", folds=3).fit(store)
    assert len(fitted.folds_) == 6
    assert fitted.test().curve().best_hm > 0.5


def test_a_method_that_needs_validation_says_so(store) -> None:
    protocol = TwoStageProtocol(method="tests.protocol.test_folds:Stubborn", folds=2)
    with pytest.raises(EzavError, match="on validation classes only"):
        protocol.fit(store)


class Stubborn(Best):
    """Learns something on validation, and nothing on folds."""

    def learn_on_folds(self, folds) -> None:
        super(Best, self).learn_on_folds(folds)


def test_a_source_of_several_classes_is_held_out_in_all_of_them() -> None:
    sources = [f"tape {row % 10}" if row % 10 < 3 else str(row) for row in range(70)]
    for fold in class_folds(LABELS, 7, 3, groups=sources):
        trained = {sources[row] for row in fold.train.tolist()}
        assert not trained & {sources[row] for row in fold.held_out.tolist()}
        assert len(set(LABELS[fold.train].tolist())) == 7 - len(fold.unseen)
    one_tape_each = [f"tape {row % 10}" for row in range(70)]
    with pytest.raises(EzavError, match=r"all sources of class .* holds out in other classes"):
        class_folds(LABELS, 7, 3, groups=one_tape_each)


def test_where_the_splits_were_drawn_class_folds_choose(store) -> None:
    protocol = TwoStageProtocol(method="ale")
    drawn = SplitOrigin(how="drawn", seed=0)
    published = SplitOrigin(how="published")
    splits = dict(zip(*(store.index.column(name).to_pylist() for name in ("clip", "split"))))
    assert protocol.folds_on(store) == 0  # nothing says how they came about
    assert protocol.folds_on(store.with_splits(splits, published, {})) == 0
    assert protocol.folds_on(store.with_splits(splits, SplitOrigin(how="manifest"), {})) == 4
    own = store.with_splits(splits, drawn, {})
    assert protocol.folds_on(own) == 4
    assert TwoStageProtocol(method="ale", folds=0).folds_on(own) == 0
    assert TwoStageProtocol(method="blending").folds_on(own) == 4
    assert TwoStageProtocol(method="best").folds_on(own) == 5


def test_a_method_that_learns_on_validation_alone_has_no_folds() -> None:
    class Alone(Best):
        learn_on_folds = Method.learn_on_folds

    assert not learns_on_folds(Alone)
    assert learns_on_folds(Best)


def test_folds_train_on_no_source_that_they_hold_out(store) -> None:
    """Of the protocol itself: what it hands to the trainer of each fold."""
    splits = dict(zip(*(store.index.column(name).to_pylist() for name in ("clip", "split"))))
    known = [clip for clip, split in splits.items() if not split.startswith("test")]
    labels = dict(zip(*(store.index.column(name).to_pylist() for name in ("clip", "class"))))
    tape = {clip: f"{labels[clip]} {number % 4}" for number, clip in enumerate(known)}
    own = store.with_splits(splits, SplitOrigin(how="drawn"), tape)
    stage = TwoStageProtocol(method="best").reader(own).stage(2)
    for fold in fold_data(stage, 4, 1, 0, own.sources):
        trained = {tape[clip] for clip in fold.stage.train.clips}
        assert not trained & {tape[clip] for clip in fold.held_out.clips}


def test_a_closed_set_is_run_and_tested(store, tmp_path: Path) -> None:
    closed = redrawn(store, unseen=())
    result = write_run(TwoStageProtocol(method="best").fit(closed), tmp_path / "run")
    assert result.candidates["unseen"] == []
    assert result.metrics.S > 0.8
    assert math.isnan(result.metrics.HM)
    assert result.controls == {}
    assert read_result(tmp_path / "run").candidates == result.candidates
    assert verify_run(tmp_path / "run").sound
    with pytest.raises(EzavError, match="class folds choose epoch and gamma"):
        TwoStageProtocol(method="eszsl", folds=0).fit(closed)
    # It cannot learn on folds, and there is nothing else: the fit says so.
    assert TwoStageProtocol(method="blending").folds_on(closed) == 4
