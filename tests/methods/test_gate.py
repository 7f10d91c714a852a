"""AV-OOD's gate against its author's code at a small width, and in a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.linear_model import Ridge

from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.features.redraw import redrawn
from ezav.methods.common import gate as gates
from ezav.methods.common.gate import (
    Detector,
    detector_parts,
    entropy,
    made_clips,
    thresholds,
    train_detector,
)
from ezav.methods.common.gated import Gated, best_threshold, gated
from ezav.metrics import gzsl_scores
from ezav.protocol import TwoStageProtocol, read_evaluation, read_model, read_stage, write_run
from ezav.protocol.kept import difference
from tests import worlds
from tests.methods.fixtures import Fixture, close, close_gradients
from tests.protocol.test_two_stage import CONFIG, TRAINING


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("avood_tiny")


def load(reference: Fixture, where: str) -> Detector:
    detector = Detector(20, 1, hidden=(16, 8))
    detector.load_state_dict(reference.under(where))
    return detector


def test_losses_gradients_and_a_step_equal_the_authors(reference: Fixture) -> None:
    detector = load(reference, "det/state")
    x, seen = reference["det/batch/x"], int(reference["det/batch/n_seen"])
    close(detector(x), reference["det/logits"], "logits")
    close(entropy(detector(x)), reference["det/entropy"], "entropy")
    parts = detector_parts(detector, x[:seen], reference["det/batch/y"], x[seen:])
    names = {"entropy_seen": "entropy_seen", "cross_entropy": "ce_seen"}
    for ours, theirs in (names | {"entropy_made": "neg_entropy_syn"}).items():
        close(parts[ours], reference[f"det/loss/{theirs}"], ours)
    total = torch.stack(list(parts.values())).sum()
    close(total, reference["det/loss/total"], "total")
    total.backward()
    close_gradients(detector, reference.under("det/grad"))
    torch.optim.Adam(detector.parameters(), 0.005, (0.5, 0.999)).step()
    for name, theirs in reference.under("det/after_one_iteration").items():
        close(detector.get_parameter(name), theirs, name)


def test_routing_equals_the_authors(reference: Fixture) -> None:
    """By its threshold, with the predictions of its two experts."""
    detector = load(reference, "route/det_state")
    limit, known = float(reference["route/threshold"]), reference["data/seen_ids"]
    scores, targets, ids = [], [], torch.arange(12)
    for side, expert in (("seen", "expert_pred_mapped"), ("unseen", "expert_pred_ids")):
        x, truth = reference[f"data/test_{side}_X"], reference[f"data/test_{side}_ids"]
        unsure = entropy(detector(x))
        close(unsure, reference[f"route/{side}/entropy"], side)
        share = ((unsure < limit) == (side == "seen")).float().mean()
        close(share, reference[f"route/{side}/detector_acc"], "routed right")
        predicted = reference[f"route/{side}/{expert}"]
        predicted = known[predicted] if side == "seen" else predicted
        own = torch.isin(ids, known) == (side == "seen")
        # What the other expert would say of a clip that is routed wrongly counts for nothing.
        likes = torch.nn.functional.one_hot(predicted, 12).float() + 0.1 * own
        scores.append(gated(likes, torch.isin(ids, known), unsure < limit))
        targets.append(truth)
    seen = torch.isin(ids, known)
    found = gzsl_scores(torch.cat(scores), torch.cat(targets), seen, 0.0)
    close(torch.tensor(float(found.HM)), reference["route/H"].float(), "H")
    mean = entropy(detector(reference["data/train_X"])).mean().item()
    theirs = float(reference["route/mean_train_entropy_final_weights"])
    assert mean == pytest.approx(theirs, rel=1e-4)


def test_made_clips_are_a_ridge_regression_and_real_spread() -> None:
    torch.manual_seed(0)
    text, others = torch.randn(4, 6), torch.randn(2, 6)
    labels = torch.arange(4).repeat_interleave(5)
    clips = torch.randn(20, 7)
    made, rows = made_clips(clips, labels, text, others, seed=1)
    means = torch.stack([clips[labels == one].mean(dim=0) for one in range(4)])
    middle = text.mean(dim=0)
    fitted = Ridge(1.0, fit_intercept=False).fit(text - middle, means - means.mean(dim=0))
    expected = means.mean(dim=0) + torch.from_numpy(fitted.predict(others - middle)).float()
    spread = made - expected[rows]
    real = clips - means[labels]
    assert bool((torch.cdist(spread, real).amin(dim=1) < 1e-2).all())
    assert torch.bincount(rows).tolist() == [50, 50]


def test_a_detector_tells_what_is_far_from_what_it_knows() -> None:
    torch.manual_seed(0)
    centres = 3 * torch.randn(5, 8)
    labels = torch.arange(5).repeat_interleave(20)
    clips, away = centres[labels] + torch.randn(100, 8), 3 * torch.randn(100, 8)
    detector = Detector(8, 5)
    released = train_detector(detector, clips, labels, away, seed=0)
    fresh = centres[labels] + torch.randn(100, 8)
    sure, unsure = detector.entropy(fresh), detector.entropy(away)
    assert sure.mean().item() < 0.3 < unsure.mean().item()
    assert released < math.log(5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    return worlds.store(tmp_path_factory.mktemp("store") / "tiny")


@pytest.mark.parametrize(
    ("method", "gate", "folds"),
    [("ez_avgzl", "learned", 2), ("ez_avgzl", "released", 0), ("best", "learned", 2)],
)
def test_a_gated_run_lives_in_its_folder(store, tmp_path: Path, method, gate, folds) -> None:
    protocol = TwoStageProtocol(
        method=method,
        config=dataclasses.replace(CONFIG, prior="closed") if method == "ez_avgzl" else None,
        training=dataclasses.replace(TRAINING, epochs=1),
        folds=folds,
        gate=gate,
    )
    fitted = protocol.fit(store)
    result = write_run(fitted, tmp_path / "run")
    assert result.gate == gate
    assert difference(result, protocol, store, "") == ""
    assert difference(result, dataclasses.replace(protocol, gate="none"), store, "") == "gate"
    model, _ = read_model(tmp_path / "run")
    assert isinstance(model.method, Gated)
    clips = read_evaluation(store, read_stage(store, 2))
    again, test = model.evaluate(clips), fitted.test()
    torch.testing.assert_close(again.scores, test.scores)
    seen = test.seen
    best = torch.where(seen, test.scores, -torch.inf).amax(dim=1)
    other = torch.where(seen, -torch.inf, test.scores).amax(dim=1)
    worst = torch.where(seen, test.scores, torch.inf).amin(dim=1)
    lowest = torch.where(seen, torch.inf, test.scores).amin(dim=1)
    # Every clip's classes of one side are all above those of the other.
    assert bool(((worst > other) | (lowest > best)).all())


def test_a_gated_run_tells_of_its_gate_and_of_no_gamma(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds.store(tmp_path / "store")
    run = ["run", "best", str(tmp_path / "store"), "--folds", "2", "--out"]
    assert main([*run, str(tmp_path / "plain")]) == 0
    assert ", gamma " in capsys.readouterr().out
    assert main([*run, str(tmp_path / "gated"), "--gate", "mean"]) == 0
    told = capsys.readouterr().out
    assert "gate mean, not gamma" in told


def test_the_learned_threshold_is_the_best_of_all() -> None:
    torch.manual_seed(0)
    seen = torch.tensor([True, True, False, False])
    targets = torch.arange(40) % 4
    scores, unsure = torch.randn(40, 4), torch.rand(40) + 0.3 * (~seen[targets])

    def hm(limit: float) -> float:
        own = torch.where(unsure < limit, 0, 2)
        said = torch.stack([scores[:, :2].argmax(1), scores[:, 2:].argmax(1)])
        right = said[own // 2, torch.arange(40)] + own == targets
        sides = [float(right[seen[targets] == one].float().mean()) for one in (True, False)]
        return 2 * sides[0] * sides[1] / max(sum(sides), 1e-9)

    found = hm(best_threshold([(scores, unsure, targets, seen)]))
    assert found == pytest.approx(max(hm(float(one) + 1e-6) for one in unsure))
    assert found > 0.1


@pytest.mark.parametrize("count", [1, 30, 399, 998])
def test_thresholds_run_from_below_all_to_above_all(count: int) -> None:
    unsure = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tried = torch.tensor(list(thresholds(unsure)), dtype=torch.float64)
    below = (unsure[None] < tried[:, None]).sum(dim=1)  # clips that each lets through as seen
    assert (below[0], below[-1], len(tried)) == (0, count, min(count + 1, 200))
    steps = below.diff()
    assert int(steps.min()) >= 1
    assert int(steps.max()) <= count // 199 + 1


@pytest.mark.parametrize("folds", [0, 2])
def test_the_method_behind_a_gate_is_the_method_alone(store, folds: int) -> None:
    """ESZSL's map follows from the penalties that it learned."""
    alone = TwoStageProtocol(method="eszsl", folds=folds)
    behind = dataclasses.replace(alone, gate="mean").fit(store).model_.method
    assert isinstance(behind, Gated)
    expected = alone.fit(store).model_.method.state_dict()
    assert expected["exponents_"].any()  # others than those it begins with
    torch.testing.assert_close(behind.inner.state_dict(), expected, rtol=0, atol=0)


def test_a_closed_set_has_nothing_to_gate(store) -> None:
    closed = redrawn(store, unseen=())
    with pytest.raises(EzavError, match="no others for a gate"):
        TwoStageProtocol(method="ez_avgzl", gate="mean").fit(closed)
    assert read_stage(closed, 2).seen.all()


def test_entropy_is_a_share_of_the_largest() -> None:
    detector, clips = Detector(6, 3, hidden=(5, 4)), 30 * torch.randn(7, 6)
    chances = detector(clips).softmax(dim=1).detach().double().numpy()
    expected = scipy.stats.entropy(chances, base=3, axis=1)
    np.testing.assert_allclose(detector.entropy(clips).detach(), expected, atol=1e-5)


def test_the_released_threshold_is_half_the_mean_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one batch, half of which is made up, as of 64 clips that are all alike."""
    monkeypatch.setattr(gates, "EPOCHS", 1)
    detector, clip = Detector(6, 3), torch.randn(1, 6)
    before = float(entropy(detector(clip)).detach())
    labels = torch.zeros(64, dtype=torch.long)
    told = train_detector(detector, clip.expand(64, 6), labels, torch.randn(64, 6), seed=0)
    assert told == pytest.approx(before / 2)
