"""The peers' evaluation against what their own code printed, ties and empty classes included."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ezav.metrics import peer_distances, peer_evaluation, peer_grid, seen_unseen_curve
from tests.shared_data import AUTHORS

CASES = ("generic", "ties", "emptyclass")
CODES = {"avca": "AVCA", "tcaf": "TCAF", "clipclap": "ClipClap"}


def load(case: str, code: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    inputs = dict(np.load(AUTHORS / f"eval_{case}.npz"))
    return inputs, json.loads((AUTHORS / f"eval_{case}.{CODES[code]}.json").read_text())


def arrange(inputs: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, np.ndarray]:
    """Label ids -> columns: targets, seen, and the sorted ids."""
    ids = np.sort(np.concatenate([inputs["seen_ids"], inputs["unseen_ids"]]))
    targets = torch.from_numpy(np.searchsorted(ids, inputs["targets"]))
    return targets, torch.from_numpy(np.isin(ids, inputs["seen_ids"])), ids


def close(ours: float, theirs: float | None) -> bool:
    theirs = float("nan") if theirs is None else theirs
    return bool(np.isclose(ours, theirs, rtol=0, atol=1e-6, equal_nan=True))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("case", CASES)
def test_all_runs_of_the_released_codes(case: str, code: str) -> None:
    inputs, expected = load(case, code)
    targets, seen, ids = arrange(inputs)
    text, video, audio = (torch.from_numpy(inputs[k]) for k in ("t_p", "v_p", "a_p"))
    modes = {"video": (video,), "audio": (audio,), "both": (audio, video)}
    grid = peer_grid(code)  # type: ignore[arg-type]
    assert len(grid) == expected["grid"]["steps"]
    for run in expected["runs"]:
        distances = peer_distances(
            text, *modes[run["mode"]], squared=run["distance_fn"] == "SquaredL2Loss"
        )
        betas = grid if run["best_beta"] is None else run["best_beta"]
        ours = peer_evaluation(distances, targets, seen, betas)
        for name, key in (("S", "seen"), ("U", "unseen"), ("HM", "hm"), ("ZSL", "zsl")):
            assert close(getattr(ours, name), run[key]), (run["mode"], run["distance_fn"], name)
        assert close(ours.beta, run["beta"])
        for column, label in enumerate(ids):
            if not seen[column]:
                theirs = run["recall_is_zsl_recall_per_class"][label]
                assert close(float(ours.zsl_recall[column]), theirs)


@pytest.mark.parametrize("code", ["avca", "clipclap"])
@pytest.mark.parametrize("case", CASES)
def test_the_whole_grid(case: str, code: str) -> None:
    inputs, expected = load(case, code)
    targets, seen, _ = arrange(inputs)
    distances = peer_distances(torch.from_numpy(inputs["t_p"]), torch.from_numpy(inputs["v_p"]))
    ours = peer_evaluation(distances, targets, seen, peer_grid(code))  # type: ignore[arg-type]
    for row, beta, point in zip(ours.curve, ours.betas, expected["curve_video_L2"], strict=True):
        assert close(float(beta), point["beta"])
        for value, key in zip(row, ("seen", "unseen", "hm"), strict=True):
            assert close(float(value), point[key])


def test_nothing_right_is_an_hm_of_zero() -> None:
    distances, seen = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([True, False])
    ours = peer_evaluation(distances, torch.tensor([0, 1]), seen, peer_grid("avca"))
    assert (ours.S, ours.HM, ours.beta) == (0.0, 0.0, 0.0)


def test_a_seen_class_without_clips_makes_the_mean_nan() -> None:
    distances, seen = torch.tensor([[0, 9, 9], [9, 9, 0.0]]), torch.tensor([True, True, False])
    ours = peer_evaluation(distances, torch.tensor([0, 2]), seen, 0.0)
    assert math.isnan(ours.S)
    assert math.isnan(ours.HM)
    assert ours.U == ours.ZSL == 1


@pytest.mark.parametrize("code", ["avca", "clipclap"])
def test_the_exact_curve_is_never_below_the_grid(code: str) -> None:
    inputs, expected = load("generic", code)
    targets, seen, _ = arrange(inputs)
    distances = peer_distances(torch.from_numpy(inputs["t_p"]), torch.from_numpy(inputs["v_p"]))
    curve = seen_unseen_curve(-distances, targets, seen)
    assert curve.best_hm >= expected["runs"][0]["hm"] - 1e-6
    for point in expected["curve_video_L2"]:
        ours = curve.at(point["beta"])
        assert close(ours[0], point["seen"])
        assert close(ours[1], point["unseen"])
