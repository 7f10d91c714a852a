"""EZ-AVGZL that starts from frozen scores: by loops, in the loss, in the choice, without any."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.common.label_words import LabelHead
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.prior import WEIGHTS, FrozenPrior, best_weight
from ezav.protocol.labels import label_head
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.training import Trainer, TrainingConfig, build_method
from ezav.training.together import Together
from tests import worlds

AUDIO, VISUAL, TEXT, CLIPS, SEEN, NAMES = 4, 6, 5, 20, 4, 7
DIMS = Dims(audio=AUDIO, visual=VISUAL, text=TEXT)
SMALL = EzAvgzlConfig(
    width=16,
    hidden=16,
    heads=2,
    head_dim=8,
    mlp=16,
    dropout=0.0,
    classes=ClassEmbeddingRecipe(source="raw"),
)
ONE = TrainingConfig(batch_size=16, epochs=2)


def rows(count: int, dim: int, seed: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


HEAD = LabelHead("visual", rows(3, VISUAL, 4), rows(1, 3, 5)[0], rows(3, TEXT, 6))
NAMES_TEXT = rows(NAMES, TEXT, 2)
LABELS = torch.arange(CLIPS) % SEEN
SEES = torch.arange(CLIPS) % 5 != 0
SOUND = Tokens.pooled(rows(CLIPS, AUDIO, 0))
SIGHT = Tokens.pooled(rows(CLIPS, VISUAL, 1), SEES)
BATCH = Batch(audio=SOUND, visual=SIGHT, labels=LABELS, class_embeddings=NAMES_TEXT[:SEEN])


def method(dims: Dims = DIMS, labels: bool = True, **settings: Any) -> EzAvgzl:
    torch.manual_seed(0)
    made = EzAvgzl(dataclasses.replace(SMALL, **settings), dims).eval()
    if labels:
        made.know_labels(HEAD)
    return made


def prepared(**settings: Any) -> EzAvgzl:
    made = method(**settings)
    made.prepare(SOUND, SIGHT, LABELS, NAMES_TEXT[:SEEN])
    return made


def unit(v: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def naive_prior() -> Tensor:
    """What the labels say of every clip and name, by loops; 0 without a picture."""
    names = [unit(row) for row in NAMES_TEXT.double().tolist()]
    mean = [sum(column) / SEEN for column in zip(*names[:SEEN], strict=True)]
    names = [unit([a - m for a, m in zip(row, mean, strict=True)]) for row in names]
    said = []
    for row in SIGHT.values[:, 0].double():
        logits = [
            float(row @ w + c) / 1.5 for w, c in zip(HEAD.weight.double(), HEAD.bias.double())
        ]
        shares = [math.exp(value) / sum(map(math.exp, logits)) for value in logits]
        said.append(unit([dot(shares, column) for column in HEAD.vectors.double().T.tolist()]))
    heard = [row for row, sees in zip(said, SEES.tolist(), strict=True) if sees]
    middle = [sum(column) / len(heard) for column in zip(*heard, strict=True)]
    scores = [
        [dot(unit([a - m for a, m in zip(row, middle, strict=True)]), name) for name in names]
        if sees
        else [0.0] * NAMES
        for row, sees in zip(said, SEES.tolist(), strict=True)
    ]
    trained = [value for row in scores for value in row[:SEEN]]
    average = sum(trained) / len(trained)
    spread = math.sqrt(sum((value - average) ** 2 for value in trained) / len(trained))
    return torch.tensor(scores, dtype=torch.float64) / spread


def test_scores_are_the_networks_and_the_weighted_words() -> None:
    with_prior = prepared(prior="frozen", prior_weight=1.5)
    alone = prepared()
    expected = alone.scores(SOUND, SIGHT, NAMES_TEXT).double() + 1.5 * naive_prior()
    assert torch.allclose(with_prior.scores(SOUND, SIGHT, NAMES_TEXT).double(), expected, atol=1e-4)
    blind = alone.scores(SOUND, SIGHT, NAMES_TEXT)[~SEES]  # what is there answers alone
    assert torch.equal(with_prior.scores(SOUND, SIGHT, NAMES_TEXT)[~SEES], blind)


def test_the_loss_is_of_the_sum_and_its_gradient_reaches_the_network_only() -> None:
    with_prior, alone = prepared(prior="frozen", prior_weight=1.5), prepared()
    with_prior.prior_weight_.zero_()  # the weight in the scores has no part in the loss
    network = alone.scores(SOUND, SIGHT, NAMES_TEXT[:SEEN])
    expected = F.cross_entropy(network.double() + 1.5 * naive_prior()[:, :SEEN], LABELS)
    loss = with_prior.loss(BATCH)
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), abs=1e-4)
    loss.total.backward()
    expected.backward()
    for name, weight in with_prior.named_parameters():
        other = alone.get_parameter(name).grad
        assert (weight.grad is None) == (other is None)
        if weight.grad is not None and other is not None:
            assert torch.allclose(weight.grad, other, atol=1e-5), name
    moved = [w for w in with_prior.parameters() if w.grad is not None and bool(w.grad.any())]
    assert len(moved) > 5
    assert not list(with_prior.get_submodule("prior").parameters())


def trained(method: EzAvgzl, clips: Any, text: Tensor) -> Trainer:
    trainer = Trainer(method, clips, text, ONE)
    trainer.run_epoch()
    return trainer


def head(visual: int, text: int) -> LabelHead:
    return LabelHead("visual", rows(5, visual, 4), rows(1, 5, 5)[0], rows(5, text, 6))


WORLD = Dims(audio=worlds.AUDIO_DIM, visual=worlds.VISUAL_DIM, text=worlds.TEXT_DIM)
WORLD_HEAD = head(worlds.VISUAL_DIM, worlds.TEXT_DIM)


def in_world(seed: int = 0, **settings: Any) -> EzAvgzl:
    config = dataclasses.replace(SMALL, dropout=0.3, **settings)
    made = build_method(EzAvgzl, config, WORLD, seed)
    assert isinstance(made, EzAvgzl)
    made.know_labels(WORLD_HEAD)
    return made


def test_without_a_prior_nothing_is_there_and_with_weight_0_nothing_changes() -> None:
    clips, text = worlds.feature_set(), worlds.class_vectors(6).vectors
    none = trained(in_world(), clips, text).method
    nought = trained(in_world(prior="frozen", prior_weight=0.0), clips, text).method
    some = trained(in_world(prior="frozen"), clips, text).method
    assert not [name for name in none.state_dict() if "prior" in name]
    assert none.from_validation == ()
    for name, weight in none.named_parameters():
        assert torch.equal(weight, nought.get_parameter(name)), name
    assert any(not torch.equal(w, some.get_parameter(n)) for n, w in none.named_parameters())


@pytest.mark.parametrize("members", [1, 2])
def test_several_seeds_in_one_pass_train_the_same(members: int) -> None:
    clips, text = worlds.feature_set(), worlds.class_vectors(6).vectors.double()

    def trainers() -> list[Trainer]:
        return [
            Trainer(
                in_world(seed, prior="frozen", members=members).double(), clips, text, ONE, seed
            )
            for seed in (3, 5)
        ]

    alone, joined = trainers(), trainers()
    together = Together(joined)
    together.run_epoch()
    together.part()
    for one, other in zip(alone, joined, strict=True):
        one.run_epoch()
        for name, value in one.method.state_dict().items():
            assert torch.allclose(value, other.method.state_dict()[name], atol=1e-8), name


def test_text_of_the_features_own_space_is_a_prior_too() -> None:
    shared = FrozenPrior(Dims(audio=AUDIO, visual=TEXT, text=TEXT))
    sight = Tokens.pooled(rows(CLIPS, TEXT, 8), SEES)
    shared.prepare(SOUND, sight, LABELS, NAMES_TEXT[:SEEN])
    cosines = F.cosine_similarity(sight.values[:, 0][:, None], NAMES_TEXT[None], dim=2)
    expected = cosines * SEES[:, None]
    expected = expected / expected[:, :SEEN].std(correction=0)
    assert torch.allclose(shared.scores(SOUND, sight, NAMES_TEXT), expected, atol=1e-5)


def test_a_saved_method_needs_no_encoder_and_says_what_the_prior_gave() -> None:
    saved = prepared(prior="frozen")
    saved.prior_weight_.fill_(0.75)
    again = method(labels=False, prior="frozen")
    again.load_state_dict(saved.state_dict())
    scores = again.scores(SOUND, SIGHT, NAMES_TEXT)
    assert torch.equal(scores, saved.scores(SOUND, SIGHT, NAMES_TEXT))
    shares = again.inspect(SOUND, SIGHT, NAMES_TEXT)
    assert torch.allclose(shares.prior.double(), 0.75 * naive_prior(), atol=1e-4)
    assert torch.allclose(shares.contribution.sum(-1) + shares.prior, scores, atol=1e-5)


def test_the_weight_is_what_helps() -> None:
    targets = torch.arange(40) % 4
    seen = torch.tensor([True, True, False, False])
    right = F.one_hot(targets, 4).float()
    noise = rows(40, 4, 9)
    assert best_weight([(right, noise, targets, seen)], begin=2.0) == 0.0
    assert best_weight([(noise, right, targets, seen)], begin=0.0) >= 3.0
    same = [(right, right, targets, seen)]  # every weight is as good: the nearest to the start
    assert best_weight(same, begin=2.1) == 2.0


def test_without_frozen_scores_there_is_one_line() -> None:
    with pytest.raises(EzavError, match="no frozen scores") as refused:
        method(labels=False, prior="frozen").prepare(SOUND, SIGHT, LABELS, NAMES_TEXT[:SEEN])
    assert "\n" not in str(refused.value)
    with pytest.raises(EzavError, match="the same of every class"):
        prepared(prior="frozen", modalities="audio")
    with pytest.raises(EzavError, match="prior_weight -1"):
        EzAvgzlConfig(prior_weight=-1.0)


@pytest.mark.parametrize("folds", [0, 3])
def test_the_protocol_learns_the_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int
) -> None:
    """Stage 2 takes over what validation, or class folds, found; a store without labels fails."""
    store = worlds.store(tmp_path / "tiny")
    config = dataclasses.replace(SMALL, prior="frozen", prior_weight=1.25)
    protocol = TwoStageProtocol(method="ez_avgzl", config=config, training=ONE, folds=folds)
    assert label_head(store.header, store.class_embeddings().encoder) is None
    with pytest.raises(EzavError, match="no frozen scores"):
        protocol.fit(store)
    monkeypatch.setattr("ezav.protocol.stages.label_head", lambda *_: WORLD_HEAD)
    fitted = protocol.fit(store)
    assert float(fitted.model_.method.get_buffer("prior_weight_")) in WEIGHTS
    asked = []

    def found(parts: list[tuple[Tensor, ...]], begin: float) -> float:
        asked.append((len(parts), begin))
        return 2.625

    monkeypatch.setattr("ezav.methods.ez_avgzl.method.best_weight", found)
    model = protocol.fit(store).model_
    assert float(model.method.get_buffer("prior_weight_")) == 2.625
    assert set(asked) == {(max(folds, 1), 1.25)}  # all folds at once, every epoch
    assert len(asked) == ONE.epochs
    assert not TwoStageProtocol(method="ez_avgzl").reader(store).labels
