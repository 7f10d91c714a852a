"""Several seeds in one pass end where each ends alone; mapped features change nothing."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.methods import registry
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.training import Trainer, TrainingConfig, build_method
from ezav.training.together import Together
from tests import worlds
from tests.training.test_trainer import CONFIG, DIMS, TEXT

SEEDS = (3, 5, 11)


def temporal_set() -> FeatureSet:
    """Clips of different lengths, some without sound."""
    clips = worlds.feature_set()
    g = torch.Generator().manual_seed(0)

    def ragged(dim: int, missing: int) -> Ragged:
        lengths = [0 if row % missing == 0 else 1 + row % 4 for row in range(len(clips))]
        one = [(torch.randn(n, dim, generator=g), torch.arange(n) * 0.5) for n in lengths]
        return Ragged.from_clips([None if not len(v) else (v, t) for v, t in one])

    audio, visual = ragged(worlds.AUDIO_DIM, 5), ragged(worlds.VISUAL_DIM, 1000)
    return dataclasses.replace(clips, audio=audio, visual=visual)


def trainers(clips: FeatureSet, config: EzAvgzlConfig, **training) -> list[Trainer]:
    settings = TrainingConfig(batch_size=16, **training)
    # Class embeddings of a seed differ too, as shuffled ones do. In double precision: Adam blows
    # the float noise of a gradient near zero up to a whole step.
    return [
        Trainer(
            build_method(EzAvgzl, config, DIMS, seed).double(),
            clips,
            TEXT.roll(seed, 0).double(),
            settings,
            seed,
        )
        for seed in SEEDS
    ]


@pytest.mark.parametrize(
    ("config", "training"),
    [
        ({}, {}),
        ({"layers": 2, "learned_query": True}, {"gradient_clip": 0.5}),
        ({"similarity": "cosine"}, {"sampling": "uniform", "schedule": "cosine"}),
        ({"similarity": "decoder", "negatives": "distinct"}, {"modality_dropout": 0.3}),
        ({"temporal": True, "negatives": "batch", "dropout": 0.0}, {"modality_dropout": 0.5}),
    ],
)
def test_together_is_each_alone(config, training):
    clips = temporal_set()
    config = dataclasses.replace(CONFIG, **{"dropout": 0.3, **config})
    alone, joined = trainers(clips, config, **training), trainers(clips, config, **training)
    together = Together(joined)
    for _ in range(3):
        logs = together.run_epoch()
        for one, log in zip(alone, logs):
            expected = one.run_epoch()
            assert log.loss == pytest.approx(expected.loss, rel=1e-9)
            assert log.learning_rate == expected.learning_rate
    together.part()
    for one, other in zip(alone, joined):
        assert torch.equal(one.random_state, other.random_state)
        assert all(w.untyped_storage().nbytes() == w.nbytes for w in other.method.parameters())
        for name, value in one.method.state_dict().items():
            assert torch.allclose(value, other.method.state_dict()[name], atol=1e-8), name


def test_a_seed_may_leave_and_go_on_alone():
    clips = worlds.feature_set()
    whole = trainers(clips, CONFIG)[1]
    for _ in range(4):
        whole.run_epoch()
    joined = trainers(clips, CONFIG)
    three = Together(joined)
    three.run_epoch()
    state = copy.deepcopy(joined[1].state())
    three.part()
    two = Together(joined[:2])
    two.run_epoch()
    two.part()
    joined[1].run_epoch()
    resumed = trainers(clips, CONFIG)[1]
    resumed.restore(state)
    for _ in range(3):
        resumed.run_epoch()
    joined[1].run_epoch()
    for one in (joined[1], resumed):
        for name, value in whole.method.state_dict().items():
            assert torch.allclose(value, one.method.state_dict()[name], atol=1e-8), name


def test_seeds_keep_their_own_rates():
    clips = worlds.feature_set()
    joined = trainers(clips, CONFIG)
    before = [t.method.fusion.class_token.detach().clone() for t in joined]
    Together(joined).run_epoch([1e-3, 0.0, 1e-3])
    moved = [not torch.equal(t.method.fusion.class_token, b) for t, b in zip(joined, before)]
    assert moved == [True, False, True]


def test_what_cannot_share_a_pass_is_said():
    clips = worlds.feature_set()
    with pytest.raises(EzavError, match="cannot share a pass"):
        Together(trainers(clips, dataclasses.replace(CONFIG, norm="batch")))
    avca = registry.get("avca")
    method = build_method(avca, avca.Config(), DIMS, 0)
    with pytest.raises(EzavError, match="seeds of AVCA with this config"):
        Together([Trainer(method, clips, TEXT, TrainingConfig())])


@pytest.mark.parametrize("temporal", [False, True])
def test_features_on_disk_change_nothing(tmp_path, monkeypatch, temporal):
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path / "cache"))
    store = worlds.store(tmp_path / "store")
    resident, mapped = store.select("train"), store.select("train", mapped=True)
    assert (resident.mapped, mapped.mapped) == (False, True)
    assert list((tmp_path / "cache").iterdir()) == []  # the file has no name any more
    assert store.bytes_of("train") == sum(r.values.nbytes for r in (mapped.audio, mapped.visual))
    names = sorted(set(resident.labels.tolist()))
    relabel = torch.full((len(store.classes),), -1)
    relabel[names] = torch.arange(len(names))
    config = dataclasses.replace(CONFIG, dropout=0.3, temporal=temporal)
    ends = []
    for clips in (resident, mapped):
        clips = dataclasses.replace(clips, labels=relabel[clips.labels])
        run = Trainer(
            build_method(EzAvgzl, config, DIMS, 0),
            clips,
            torch.randn(len(names), worlds.TEXT_DIM, generator=torch.Generator().manual_seed(0)),
            TrainingConfig(batch_size=16, modality_dropout=0.2),
        )
        run.run_epoch(), run.run_epoch()
        ends.append(run.method.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
