"""Members of EZ-AVGZL: each trains as it would alone, their scores are averaged."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from ezav.errors import EzavError
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.protocol import TwoStageProtocol, write_run
from ezav.recognizer import Recognizer
from ezav.training.scoring import score_all
from tests import worlds
from tests.methods.test_prior import (
    BATCH,
    NAMES_TEXT,
    ONE,
    SIGHT,
    SMALL,
    SOUND,
    method,
    prepared,
    trained,
)
from tests.methods.test_prior import WORLD as DIMS


def alone(many: EzAvgzl, member: int, **settings: Any) -> EzAvgzl:
    """One member of three, as a method of its own."""
    one = prepared(**settings)
    state = {k: v for k, v in many.state_dict().items() if not k.startswith("others.")}
    if member:
        prefix = f"others.{member - 1}."
        own = many.state_dict().items()
        state |= {k.removeprefix(prefix): v for k, v in own if k.startswith(prefix)}
    one.load_state_dict(state)
    return one


@pytest.mark.parametrize("settings", [{}, {"prior": "frozen"}, {"negatives": "batch"}])
def test_members_descend_as_each_alone_and_their_scores_are_averaged(settings: Any) -> None:
    many = prepared(members=3, **settings)
    each = [alone(many, member, **settings) for member in range(3)]
    for one in (many, *each):
        optimiser = torch.optim.Adam(one.parameter_groups(), lr=1e-2, weight_decay=1e-3)
        for _ in range(3):
            optimiser.zero_grad()
            one.loss(BATCH).total.backward()
            optimiser.step()
    for member, one in enumerate(each):
        for name, weight in alone(many, member, **settings).named_parameters():
            assert torch.allclose(weight, one.get_parameter(name), atol=1e-4), (member, name)
    scores = [one.scores(SOUND, SIGHT, NAMES_TEXT) for one in each]
    assert float((scores[0] - scores[1]).detach().abs().max()) > 0.01, "members are the same"
    found = many.scores(SOUND, SIGHT, NAMES_TEXT)
    assert torch.allclose(found, (scores[0] + scores[1] + scores[2]) / 3, atol=1e-3)


def test_one_member_is_what_it_was() -> None:
    clips, text = worlds.feature_set(), worlds.class_vectors(6).vectors
    config = dataclasses.replace(SMALL, members=2)
    torch.manual_seed(4)
    two = EzAvgzl(config, DIMS)
    torch.manual_seed(4)
    one = EzAvgzl(SMALL, DIMS)
    assert not [name for name in one.state_dict() if name.startswith("others")]
    first = trained(copy.deepcopy(two), clips, text).method
    trained(one, clips, text)
    for name, weight in one.named_parameters():
        assert torch.allclose(weight, first.get_parameter(name), atol=1e-5), name


def test_parts_of_all_members_sum_to_the_score() -> None:
    many = method(members=3)
    shares = many.inspect(SOUND, SIGHT, NAMES_TEXT)
    total = shares.contribution.sum(-1) + shares.prior
    assert torch.allclose(total, many.scores(SOUND, SIGHT, NAMES_TEXT), atol=1e-5)
    assert torch.allclose(shares.attention.sum(-1), torch.ones(()), atol=1e-5)


def test_a_run_of_several_members_is_one_recognizer(tmp_path: Path) -> None:
    store = worlds.store(tmp_path / "tiny")
    config = dataclasses.replace(SMALL, members=2)
    fitted = TwoStageProtocol(method="ez_avgzl", config=config, training=ONE, folds=3).fit(store)
    write_run(fitted, tmp_path / "run")
    model = Recognizer.load(tmp_path / "run").model
    clips = store.select("test_seen", "test_unseen")
    vectors = fitted.model_.classes.vectors
    loaded = score_all(model.method, clips, vectors)
    assert torch.equal(loaded, score_all(fitted.model_.method, clips, vectors))
    assert sum(name.startswith("others.0.") for name in model.method.state_dict()) > 5


def test_a_number_that_is_none() -> None:
    with pytest.raises(EzavError, match="0 members"):
        dataclasses.replace(SMALL, members=0)
