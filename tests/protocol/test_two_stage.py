"""The two-stage protocol on a tiny world: right numbers, no leak, one result a seed."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import resource
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.errors import EzavError
from ezav.manifest import MANIFEST
from ezav.methods.ez_avgzl.method import EzAvgzlConfig
from ezav.protocol import TwoStageProtocol, read_model, read_result, write_run
from ezav.protocol import two_stage as module
from ezav.protocol.chance import chance
from ezav.protocol.fitted import FittedProtocol
from ezav.protocol.run_folder import checkpoint_of, read_evaluation_file
from ezav.training.config import TrainingConfig
from tests import worlds

CONFIG = EzAvgzlConfig(width=16, hidden=16, heads=2, head_dim=8, mlp=16, dropout=0.0)
TRAINING = TrainingConfig(epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return worlds.store(tmp_path_factory.mktemp("store") / "tiny")


@pytest.fixture(scope="module")
def fitted(store):
    return TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING).fit(store)


def test_epoch_and_gamma_are_the_best_of_validation(fitted):
    best = max(fitted.history_, key=lambda epoch: epoch.HM)  # max keeps the first
    assert fitted.epoch_ == best.log.epoch
    assert fitted.gamma_ == best.gamma
    curve = fitted.validation_.curve()
    assert curve.best_hm == pytest.approx(best.HM)


def test_a_stage_evaluates_its_own_clips_among_its_own_classes(fitted, store):
    """Of 12 classes the last two are unseen in testing, the two before in validation."""
    for split, found, classes in (("val", fitted.validation_, 10), ("test", fitted.test(), 12)):
        assert found.classes == store.classes[:classes]
        assert found.seen.tolist() == [True] * (classes - 2) + [False] * 2
        clips = store.select(f"{split}_seen", f"{split}_unseen")
        assert found.clips == clips.clips
        own = [found.classes[row] for row in found.targets.tolist()]
        assert own == [clips.classes[row] for row in clips.labels.tolist()]


def test_stage_1_ends_after_so_many_epochs_without_a_better_one(store):
    for patience in (1, 3):
        training = dataclasses.replace(TRAINING, epochs=60, patience=patience)
        protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training)
        found = protocol.validate(store)
        assert len(found.history) == found.epoch + patience < 60


def test_of_equal_epochs_the_first_is_kept(store):
    training = dataclasses.replace(TRAINING, learning_rate=1e-30)  # nothing moves
    found = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training).validate(store)
    assert len({epoch.HM for epoch in found.history}) == 1 < len(found.history)
    assert found.epoch == 1


def test_shuffled_class_embeddings_follow_the_seed(store):
    recipe = dataclasses.replace(CONFIG.classes, shuffle=True)
    config = dataclasses.replace(CONFIG, classes=recipe)
    one = TwoStageProtocol(method="ez_avgzl", config=config, training=TRAINING, seed=5).fit(store)
    assert one.model_.classes.settings["shuffle_seed"] == 5


def test_reading_test_clips_changes_nothing_that_was_fitted(store, tmp_path, monkeypatch):
    """Fit with the test splits unreadable: the same gamma, epoch and weights come out."""
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING, seed=3)
    expected = protocol.fit(store)
    real_select = type(store).select

    def select(self, *splits, **kwargs):
        assert not any(split.startswith("test") for split in splits), "test clips were read"
        return real_select(self, *splits, **kwargs)

    monkeypatch.setattr(type(store), "select", select)
    blind = protocol.fit(store)
    assert (blind.gamma_, blind.epoch_) == (expected.gamma_, expected.epoch_)
    for ours, theirs in zip(
        blind.model_.method.state_dict().values(), expected.model_.method.state_dict().values()
    ):
        assert torch.equal(ours, theirs)
    with pytest.raises(AssertionError, match="test clips were read"):
        blind.test()


def _built_anew(fitted, changes, proof):
    fields = {f.name: getattr(fitted, f.name) for f in dataclasses.fields(fitted)}
    return FittedProtocol(**{**fields, **changes, **({} if proof is None else {"proof": proof})})


def _set(fitted, changes, proof):
    for name, value in changes.items():
        setattr(fitted, name, value)
    return fitted


def _deleted(fitted, changes, proof):
    for name in changes:
        delattr(fitted, name)
    return fitted


def _of_a_subclass(fitted, changes, proof):
    class Lenient(FittedProtocol):
        def __post_init__(self, proof):
            pass

    return _built_anew(fitted, changes, proof)


def _copied_and_set(fitted, changes, proof):
    return _set(pickle.loads(pickle.dumps(copy.copy(fitted))), changes, proof)


WAYS = {
    "built anew": _built_anew,
    "dataclasses.replace": lambda fitted, changes, proof: dataclasses.replace(fitted, **changes),
    "replace with a proof": lambda fitted, changes, proof: dataclasses.replace(
        fitted, **changes, proof=proof
    ),
    "set": _set,
    "deleted": _deleted,
    "a subclass": _of_a_subclass,
    "a copy, set": _copied_and_set,
    "the protocol, set": lambda fitted, changes, proof: _set(fitted.protocol, {"seed": 9}, proof),
    "the model, set": lambda fitted, changes, proof: _set(fitted.model_, {"seen": None}, proof),
}


@settings(max_examples=60, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    changes=st.fixed_dictionaries(
        {}, optional={"gamma_": st.floats(-5, 5), "epoch_": st.integers(1, 50)}
    ).filter(bool),
    proof=st.sampled_from([None, object(), True, "fit"]),
)
def test_nothing_but_validation_makes_a_protocol_that_can_test(fitted, way, changes, proof):
    before = fitted.gamma_, fitted.epoch_, fitted.protocol.seed
    with pytest.raises((EzavError, dataclasses.FrozenInstanceError, TypeError)) as told:
        WAYS[way](fitted, changes, proof)
    assert not isinstance(told.value, TypeError) or "only validation makes one" in str(told.value)
    assert (fitted.gamma_, fitted.epoch_, fitted.protocol.seed) == before


def test_a_pickled_protocol_is_the_same_and_what_is_not_fitted_cannot_test(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.gamma_, again.epoch_) == (fitted.gamma_, fitted.epoch_)
    assert torch.equal(again.test().scores, fitted.test().scores)
    for unable in (TwoStageProtocol(method="ez_avgzl"), fitted.model_, fitted.history_[0]):
        assert not hasattr(unable, "test")


def test_a_run_read_back_keeps_its_gamma(fitted, tmp_path):
    write_run(fitted, tmp_path / "run")
    model, result = read_model(tmp_path / "run")
    assert not hasattr(model, "test")
    with pytest.raises(ValueError, match="frozen"):
        result.gamma = 0.0


def test_stage_2_trains_on_train_and_validation_for_that_many_epochs(store, monkeypatch):
    seen_clips, rates, seeds = [], [], []
    real = module.Trainer

    class Spy(real):
        def __init__(self, method, train, *args, **kwargs):
            seen_clips.append(set(train.clips))
            rates.append([])
            super().__init__(method, train, *args, **kwargs)
            seeds.append(self.sampler.generator.initial_seed())

        def run_epoch(self, rate):
            log = super().run_epoch(rate)
            rates[-1].append(log.learning_rate)
            return log

    monkeypatch.setattr(module, "Trainer", Spy)
    # Without patience the plateau schedule cuts the rate whenever validation is no better.
    training = dataclasses.replace(TRAINING, plateau_patience=0, epochs=8, learning_rate=1e-2)
    for seed in range(9):
        protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=training, seed=seed)
        result = protocol.fit(store)
        assert seen_clips[-2] == set(store.select("train").clips)
        assert seen_clips[-1] == set(store.select("train", "val_seen", "val_unseen").clips)
        assert seeds[-2:] == [seed, seed]
        assert len(rates[-1]) == result.epoch_
        assert rates[-1] == rates[-2][: result.epoch_]
        if len(set(rates[-1])) > 1:
            return
    pytest.fail("no stage 2 replays a rate that was cut")


def test_run_folder_round_trip(fitted, store, tmp_path: Path):
    written = write_run(fitted, tmp_path / "run")
    assert read_result(tmp_path / "run") == written
    keys = {"method", "dataset", "setting", "text_alignment", "seed", "gamma", "epoch", "metrics"}
    keys |= {"per_class", "candidates", "timing", "versions", "store_fingerprint"}
    assert keys <= json.loads((tmp_path / "run" / "result.json").read_text()).keys()
    model, _ = read_model(tmp_path / "run")
    again = model.evaluate(dataclasses.replace(store.select("test_seen", "test_unseen"))).scores
    assert torch.equal(again, fitted.test().scores)
    assert written.chance == chance(seen=10, unseen=2)
    assert pytest.approx(fitted.validation_.curve().best_hm) == written.validation.HM
    assert pytest.approx(fitted.test().curve().ausuc) == written.metrics.AUSUC
    stored = read_evaluation_file(tmp_path / "run" / "test.safetensors")
    # The reported numbers, by hand from the stored scores.
    penalised = stored.scores.double() - written.gamma * stored.seen
    right = penalised.argmax(1) == stored.targets
    recalls = {c: right[stored.targets == c].double().mean() for c in stored.targets.unique()}
    seen = torch.stack([r for c, r in recalls.items() if stored.seen[c]]).mean()
    unseen = torch.stack([r for c, r in recalls.items() if not stored.seen[c]]).mean()
    assert pytest.approx(float(seen)) == written.metrics.S
    assert pytest.approx(float(unseen)) == written.metrics.U
    for one in written.per_class:
        own = stored.targets == stored.classes.index(one.name)
        assert one.recall == pytest.approx(float(right[own].double().mean()))
    among_unseen = [one.zsl_recall for one in written.per_class if not one.seen]
    assert pytest.approx(sum(among_unseen) / len(among_unseen)) == written.metrics.ZSL
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert {mode for name, mode in modes.items() if name.endswith("safetensors")} == {0o644}
    assert not any("pickle" in p.suffix or p.suffix in {".pt", ".pkl"} for p in tmp_path.rglob("*"))


def test_an_existing_folder_is_never_overwritten(fitted, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("precious")
    with pytest.raises(EzavError, match="exists already"):
        write_run(fitted, tmp_path / "run")
    assert (tmp_path / "run" / "mine.txt").read_text() == "precious"


def test_a_full_disk_is_one_line_and_leaves_nothing(fitted, tmp_path: Path, monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(module, "Checkpoint", lambda path, key: real_checkpoint(path, key, 0.0))
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        with pytest.raises(EzavError, match=r"cannot write .*too large"):
            write_run(fitted, tmp_path / "run")
        with pytest.raises(EzavError, match=r"cannot write .*state.*too large"):
            fitted.protocol.fit(fitted.store, checkpoint=tmp_path / "state")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert not list(tmp_path.iterdir())


def test_other_versions_and_damage_are_one_clear_line(fitted, tmp_path: Path):
    with pytest.raises(EzavError, match="no run at"):
        read_result(tmp_path)
    write_run(fitted, tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "version": 99}))
    with pytest.raises(EzavError, match="version 99"):
        read_result(tmp_path / "run")
    path.write_text("{")
    with pytest.raises(EzavError, match="damaged"):
        read_result(tmp_path / "run")


def test_weights_of_another_architecture_are_refused(fitted, tmp_path: Path):
    write_run(fitted, tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    data = json.loads(path.read_text())
    data["config"]["width"] = 32
    (tmp_path / "run" / MANIFEST).unlink()
    path.write_text(json.dumps(data))
    with pytest.raises(EzavError, match="another architecture"):
        read_model(tmp_path / "run")


def test_same_seed_same_result_another_seed_another(store):
    def scores(seed: int):
        protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING, seed=seed)
        return protocol.fit(store).test().scores

    torch.manual_seed(123)  # what ran before must not matter
    first = scores(0)
    torch.rand(7)
    assert torch.equal(first, scores(0))
    assert not torch.equal(first, scores(1))


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_run_that_was_stopped_goes_on_to_the_same_result(
    store, tmp_path, stop_after, monkeypatch
):
    monkeypatch.setattr(module, "Checkpoint", lambda path, key: real_checkpoint(path, key, 0.0))
    config = dataclasses.replace(CONFIG, dropout=0.3)
    for seed in range(20):  # one whose stage 2 is long enough to be stopped in
        protocol = TwoStageProtocol(method="ez_avgzl", config=config, training=TRAINING, seed=seed)
        undisturbed = protocol.fit(store)
        if len(undisturbed.history_) + undisturbed.epoch_ > 5:
            break
    epochs = []

    def stop(stage, total, epoch):
        epochs.append(stage)
        if len(epochs) > stop_after:
            raise KeyboardInterrupt

    state = checkpoint_of(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        protocol.fit(store, stop, checkpoint=state)
    later = []
    resumed = protocol.fit(store, lambda stage, total, epoch: later.append(stage), checkpoint=state)
    # The interrupt came before the last epoch's state was written: that one is run again.
    total = len(undisturbed.history_) + undisturbed.epoch_
    assert len(later) == total - stop_after
    # It stays until the run is written: the test may be stopped as well.
    again = protocol.fit(store, lambda stage, total, epoch: later.append(stage), checkpoint=state)
    assert len(later) == total - stop_after
    assert again.seconds["stage_1"] >= sum(e.log.seconds for e in resumed.history_)
    assert torch.equal(again.test().scores, resumed.test().scores)
    write_run(again, tmp_path / "run")
    assert not state.exists()
    assert (resumed.gamma_, resumed.epoch_) == (undisturbed.gamma_, undisturbed.epoch_)
    assert torch.equal(resumed.test().scores, undisturbed.test().scores)
    without_time = [
        [dataclasses.replace(e.log, seconds=0.0) for e in run.history_]
        for run in (resumed, undisturbed)
    ]
    assert without_time[0] == without_time[1]


def real_checkpoint(path, key, seconds):
    from ezav.training.checkpoint import Checkpoint

    return Checkpoint(path, key, seconds)


def test_a_checkpoint_of_another_run_is_ignored(store, tmp_path):
    from ezav.training.checkpoint import save_tree

    save_tree(tmp_path / "state", {"key": "another", "state": {"nonsense": 1}})
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    assert torch.equal(
        protocol.fit(store, checkpoint=tmp_path / "state").test().scores,
        protocol.fit(store).test().scores,
    )


def test_a_checkpoint_belongs_to_one_setting_of_one_store(store, tmp_path):
    one = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    changes = [
        {"method": "avca"},
        {"config": dataclasses.replace(CONFIG, dropout=0.1)},
        {"training": dataclasses.replace(TRAINING, epochs=5)},
        {"seed": 1},
        {"text_encoder": "another"},
    ]
    keys = {one.key(store), one.key(worlds.store(tmp_path / "other", clips_per_class=13))}
    keys |= {dataclasses.replace(one, **change).key(store) for change in changes}
    assert len(keys) == 2 + len(changes)


def test_buffers_from_validation_are_those_of_the_best_epoch(store, tmp_path, monkeypatch):
    """A method that numbers its evaluations: stage 2 must hold the number of the best epoch."""
    from ezav.methods.ez_avgzl.method import EzAvgzl

    class Counting(EzAvgzl):
        from_validation = ("count_",)

        def __init__(self, config, dims):
            super().__init__(config, dims)
            self.register_buffer("count_", torch.zeros(()))

        def learn_on_validation(self, score, targets, seen):
            assert score(self).shape == (len(targets), len(seen))
            self.count_ += 1

    monkeypatch.setattr(module.registry, "get", lambda name, import_code: Counting)
    monkeypatch.setattr(module, "Checkpoint", lambda path, key: real_checkpoint(path, key, 0.0))
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    for _ in range(2):  # the second time from the checkpoint
        fitted = protocol.fit(store, checkpoint=tmp_path / "state")
        assert float(fitted.model_.method.count_) == fitted.epoch_


def test_seeds_together_are_seeds_alone(store, tmp_path):
    config = dataclasses.replace(CONFIG, dropout=0.3)
    training = dataclasses.replace(TRAINING, patience=2, epochs=6)
    seeds = [
        TwoStageProtocol(method="ez_avgzl", config=config, training=training, seed=seed)
        for seed in range(4)
    ]
    joined = module.fit_together(seeds, store)
    for one, together in zip(seeds, joined):
        alone = one.fit(store)
        assert (together.protocol.seed, together.epoch_) == (one.seed, alone.epoch_)
        assert [e.HM for e in together.history_] == pytest.approx([e.HM for e in alone.history_])
        assert torch.allclose(together.test().scores, alone.test().scores, atol=1e-2)
    lengths = {(len(one.history_), one.epoch_) for one in joined}
    assert len(lengths) > 1, "all seeds end at once: nothing is shown about leaving"
    write_run(joined[0], tmp_path / "run")  # its weights are its own again
    assert read_model(tmp_path / "run")


def test_seeds_that_were_stopped_together_go_on_alone(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Checkpoint", lambda path, key: real_checkpoint(path, key, 0.0))
    seeds = [
        TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING, seed=seed)
        for seed in (0, 1)
    ]
    epochs = []

    def stop(stage, total, epoch):
        epochs.append(stage)
        if len(epochs) == 5:
            raise KeyboardInterrupt

    states = [tmp_path / "0", tmp_path / "1"]
    with pytest.raises(KeyboardInterrupt):
        module.fit_together(seeds, store, [stop, stop], states)
    for one, state in zip(seeds, states):
        resumed, alone = one.fit(store, checkpoint=state), one.fit(store)
        assert resumed.epoch_ == alone.epoch_
        assert torch.allclose(resumed.test().scores, alone.test().scores, atol=1e-2)


def test_together_refuses_what_is_not_seeds(store):
    one = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    other = dataclasses.replace(one, config=EzAvgzlConfig(), seed=1)
    with pytest.raises(EzavError, match="seed only"):
        module.fit_together([one, other], store)
    fixed = [TwoStageProtocol(method="eszsl", seed=seed) for seed in (0, 1)]
    with pytest.raises(EzavError, match="cannot share a pass"):
        module.fit_together(fixed, store)


def test_mapped_features_give_the_same_run(store, tmp_path, monkeypatch):
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path))
    one = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    mapped = dataclasses.replace(one, features="mapped").fit(store)
    assert torch.equal(mapped.test().scores, one.fit(store).test().scores)
