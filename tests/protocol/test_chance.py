"""Chance against a simulation and a brute-force sweep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.protocol.chance import chance


@settings(max_examples=25, deadline=None)
@given(seen=st.integers(1, 40), unseen=st.integers(1, 40))
def test_chance_is_the_best_of_all_blind_guesses(seen, unseen):
    p = np.linspace(1e-6, 1 - 1e-6, 20_001)
    s, u = p / seen, (1 - p) / unseen
    hm = 2 * s * u / (s + u)
    expected = chance(seen, unseen)
    assert pytest.approx(hm.max(), rel=1e-6) == expected.HM
    assert pytest.approx(s[hm.argmax()], abs=1e-3) == expected.S
    assert pytest.approx(np.trapezoid(u, s), rel=1e-3) == expected.AUSUC


def test_a_random_guesser_scores_chance():
    rng = np.random.default_rng(0)
    seen, unseen, clips = 6, 2, 40_000
    targets = rng.integers(0, seen + unseen, clips)
    p = np.sqrt(seen) / (np.sqrt(seen) + np.sqrt(unseen))
    says_seen = rng.random(clips) < p
    guess = np.where(
        says_seen, rng.integers(0, seen, clips), rng.integers(seen, seen + unseen, clips)
    )
    recall = [(guess[targets == c] == c).mean() for c in range(seen + unseen)]
    s, u = np.mean(recall[:seen]), np.mean(recall[seen:])
    assert pytest.approx(s, abs=0.01) == chance(seen, unseen).S
    assert pytest.approx(u, abs=0.02) == chance(seen, unseen).U
