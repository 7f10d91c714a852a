"""Alpha from validation: the best of the candidates by stage 1, whatever the test clips say."""

from __future__ import annotations

import dataclasses

import pytest

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.errors import EzavError
from ezav.protocol import TwoStageProtocol
from ezav.protocol.choose import choose_alpha
from tests import worlds
from tests.protocol.test_two_stage import CONFIG, TRAINING


def test_the_best_candidate_on_validation_is_chosen(tmp_path, monkeypatch):
    store = worlds.store(tmp_path / "store")
    protocol = TwoStageProtocol(method="ez_avgzl", config=CONFIG, training=TRAINING)
    expected = {}
    for alpha in (0.0, 0.1, 0.9):
        recipe = ClassEmbeddingRecipe(source="ceo" if alpha else "raw", alpha=alpha)
        config = dataclasses.replace(CONFIG, classes=recipe)
        curve = dataclasses.replace(protocol, config=config).fit(store).validation_.curve()
        expected[alpha] = curve.best_hm
    real_select = type(store).select

    def select(self, *splits, **kwargs):
        assert not any(split.startswith("test") for split in splits), "test clips were read"
        return real_select(self, *splits, **kwargs)

    monkeypatch.setattr(type(store), "select", select)
    tried = {}
    chosen = choose_alpha(protocol, store, (0.9, 0.1, 0.0), tried.__setitem__)
    assert tried == pytest.approx(expected)
    best = max(tried.values())
    assert chosen.config.classes.alpha == min(a for a, hm in tried.items() if hm == best)


def test_methods_without_class_embeddings_of_their_own_are_refused(tmp_path):
    protocol = TwoStageProtocol(method="ale")
    with pytest.raises(EzavError, match="has no alpha"):
        choose_alpha(protocol, None, (0.1,))
