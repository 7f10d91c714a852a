"""EZ-AVGZL that starts from ESZSL: solved without each clip, in the loss, chosen on folds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch
from ezav.methods.ez_avgzl.prior import ClosedPrior, fixed_weight
from ezav.protocol.run_folder import read_model, write_run
from ezav.protocol.two_stage import TwoStageProtocol
from tests import worlds
from tests.methods.test_prior import (
    BATCH,
    CLIPS,
    DIMS,
    HEAD,
    LABELS,
    NAMES_TEXT,
    ONE,
    SEEN,
    SEES,
    SIGHT,
    SMALL,
    SOUND,
    WORLD_HEAD,
    naive_prior,
    prepared,
)

Array = NDArray[np.float64]


def closed(labels: bool = True) -> ClosedPrior:
    prior = ClosedPrior(DIMS)
    if labels:
        prior.know_labels(HEAD)
    prior.prepare(SOUND, SIGHT, LABELS, NAMES_TEXT[:SEEN])
    return prior


def unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def inputs() -> Array:
    """Both modalities, standardised where they are, at unit length."""
    parts = []
    for tokens in (SOUND, SIGHT):
        values, there = tokens.values[:, 0].double().numpy(), tokens.present.numpy()
        spread = values[there].std(axis=0)
        rows = (values - values[there].mean(axis=0)) / (spread + 0.1 * spread.mean())
        parts.append(unit(rows) * there[:, None])
    return np.concatenate(parts, axis=1)


def names() -> Array:
    text = unit(NAMES_TEXT.double().numpy())
    return unit(text - text[:SEEN].mean(axis=0))


def eszsl(rows: Array, labels: Array, asked: Array) -> Array:
    """`V` of `|X V S - Y|^2 + |V S|^2 + |X V|^2 + |V|^2`, by least squares over all its entries."""
    seen = names()[:SEEN]
    left = np.concatenate([rows, np.eye(rows.shape[1])])
    right = np.concatenate([seen, np.eye(seen.shape[1])])
    wanted = np.zeros((len(left), len(right)))
    wanted[np.arange(len(rows)), labels.astype(int)] = 1
    half = np.linalg.lstsq(left, wanted, rcond=None)[0]
    bilinear = np.linalg.lstsq(right, half.T, rcond=None)[0].T
    return asked @ bilinear @ names().T


def expected(scores: Array) -> Array:
    """In units of the training scores, with half the words."""
    trained = eszsl(inputs(), LABELS.numpy(), inputs())[:, :SEEN]
    return scores / trained.std() + 0.5 * naive_prior().numpy()


def test_it_is_eszsl_and_half_the_words() -> None:
    found = closed().scores(SOUND, SIGHT, NAMES_TEXT)
    whole = expected(eszsl(inputs(), LABELS.numpy(), inputs()))
    assert np.allclose(found.double(), whole, atol=1e-4)
    alone = closed(labels=False).scores(SOUND, SIGHT, NAMES_TEXT)
    assert np.allclose(alone.double(), whole - 0.5 * naive_prior().numpy(), atol=1e-4)


def test_without_its_own_clip_eszsl_is_solved_on_the_others() -> None:
    found = closed().without_own(SOUND, SIGHT, LABELS, NAMES_TEXT).double().numpy()
    rows, labels = inputs(), LABELS.numpy()
    others = np.stack(
        [
            eszsl(np.delete(rows, i, axis=0), np.delete(labels, i), rows[i : i + 1])[0]
            for i in range(CLIPS)
        ]
    )
    assert np.allclose(found, expected(others), atol=1e-4)
    assert not np.allclose(found, closed().scores(SOUND, SIGHT, NAMES_TEXT), atol=1e-2)


def test_the_loss_starts_from_what_the_other_clips_say() -> None:
    method, network = prepared(prior="closed", prior_weight=1.5), prepared()
    order = torch.tensor([3, 0, 3, 7])  # a batch may hold a clip twice
    batch = Batch(
        audio=Tokens.pooled(SOUND.values[order, 0]),
        visual=Tokens.pooled(SIGHT.values[order, 0], SEES[order]),
        labels=LABELS[order],
        class_embeddings=BATCH.class_embeddings,
    )
    said = closed().without_own(SOUND, SIGHT, LABELS, NAMES_TEXT[:SEEN])[order]
    scores = network.scores(SOUND, SIGHT, NAMES_TEXT[:SEEN])[order] + 1.5 * said
    loss, wanted = method.loss(batch).total, F.cross_entropy(scores, LABELS[order])
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), abs=1e-4)
    assert not method.stackable
    assert not [name for name, _ in method.named_parameters() if "prior" in name]


def test_the_network_has_a_fifth_of_the_say() -> None:
    draw = torch.Generator().manual_seed(0)
    networks = [7 * torch.randn(500, 40, generator=draw), 13 * torch.randn(500, 40, generator=draw)]
    assert fixed_weight(networks) == pytest.approx(5 * 10, rel=0.02)


def test_a_run_takes_its_weight_from_folds_and_reads_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezav.protocol.stages.label_head", lambda *_: WORLD_HEAD)
    store = worlds.store(tmp_path / "tiny")
    config = dataclasses.replace(SMALL, prior="closed", members=2)
    fitted = TwoStageProtocol(method="ez_avgzl", config=config, training=ONE, folds=3).fit(store)
    assert float(fitted.model_.method.get_buffer("prior_weight_")) > 0
    write_run(fitted, tmp_path / "run")
    again = read_model(tmp_path / "run")[0].method
    text = worlds.class_vectors(6).vectors
    clips = [Tokens.pooled(torch.ones(2, dim)) for dim in (worlds.AUDIO_DIM, worlds.VISUAL_DIM)]
    scores = fitted.model_.method.eval().scores(*clips, text)
    # With the largest weight scores are in the hundreds.
    assert torch.allclose(again.scores(*clips, text), scores, rtol=1e-5)
    assert "prior.inverse_" not in again.state_dict()
