"""Clips answered together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ezav.features.feature_set import FeatureSet, Ragged
from ezav.methods.base import Dims
from ezav.recognizer.frozen_method import SHARED_SCALE, Channel, FrozenMethod
from ezav.recognizer.joint import score_together
from ezav.recognizer.together import TEMPERATURE, answer, assignment, mixture, spread, trust

D = 24


def _world(classes: int, per_class: list[int], noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clips near the names of their classes, all moved by the same vector; names; targets."""
    draw = torch.Generator().manual_seed(0)
    names = normalize(torch.randn(classes, D, generator=draw), dim=1)
    targets = torch.repeat_interleave(torch.arange(classes), torch.tensor(per_class))
    moved = 0.8 * normalize(torch.randn(D, generator=draw), dim=0)
    clips = names[targets] + moved + noise * torch.randn(len(targets), D, generator=draw)
    return clips, names, targets


def _right(cosines: Tensor, targets: Tensor) -> float:
    return float((cosines.argmax(dim=1) == targets).float().mean())


@pytest.mark.parametrize("by", ["mixture", "assignment"])
def test_what_all_clips_share_is_taken_off(by: str) -> None:
    clips, names, targets = _world(8, [12] * 8, 0.22)
    alone = normalize(clips, dim=1) @ names.T
    found = answer(clips, names, torch.zeros(D), by)  # type: ignore[arg-type]
    assert found.weight == 1
    assert _right(found.cosines, targets) > _right(alone, targets) + 0.03


def test_clips_of_few_of_the_names_stand_alone() -> None:
    """Three of twenty classes: the others' shares and the common mean would mislead."""
    clips, names, targets = _world(20, [10, 10, 10] + [0] * 17, 0.1)
    clips = clips - 0.7 * (clips.mean(dim=0) - names[targets].mean(dim=0))  # little in common
    alone = normalize(clips, dim=1) @ names.T
    found = answer(clips, names, torch.zeros(D))
    assert trust(alone) == 0
    assert found.weight == 0
    assert torch.equal(found.cosines, alone)
    forced = assignment(alone, float("inf"))
    assert _right(forced, targets) < _right(alone, targets) - 0.2  # the trap that is avoided


def _two_spaces(clips: Tensor, heard: list[Tensor | None]) -> tuple[FrozenMethod, FeatureSet]:
    """As with CLIP and CLAP: pictures and sounds in a space of text each, names in both."""
    channels = (
        Channel("visual", slice(0, D), SHARED_SCALE["visual"]),
        Channel("audio", slice(D, 2 * D), SHARED_SCALE["audio"]),
    )
    sounds = [None if one is None else (one[None], torch.zeros(1)) for one in heard]
    features = FeatureSet(
        audio=Ragged.from_clips(sounds, D),
        visual=Ragged.from_clips([(one[None], torch.zeros(1)) for one in clips], D),
        labels=torch.zeros(len(clips), dtype=torch.long),
        clips=tuple(map(str, range(len(clips)))),
        classes=("",),
    )
    return FrozenMethod(channels, Dims(audio=D, visual=D, text=2 * D)), features


@pytest.mark.parametrize("occurring", [3, 20])
def test_names_that_do_not_occur_mislead_no_encoder_with_a_space_of_its_own(occurring: int) -> None:
    """Names and clips lie close together each, as CLIP's do; three of twenty names occur."""
    per_class = [6] * occurring + [0] * (20 - occurring)
    clips, names, targets = _world(20, per_class, 0.2)
    apart = normalize(torch.randn(D, generator=torch.Generator().manual_seed(9)), dim=0)
    names = normalize(names + 1.5 * apart, dim=1)
    method, features = _two_spaces(clips, [None] * len(clips))
    both = torch.cat([names, names], dim=1)
    together, weight = score_together(method, features, both)
    alone = method.scores(
        *(one.gather(torch.arange(len(clips))) for one in (features.audio, features.visual)), both
    )
    if occurring == 3:
        assert weight == 0
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    else:
        assert weight > 0.5
        assert _right(together, targets) > _right(alone, targets)


def test_the_only_clip_with_sound_is_answered_from_it() -> None:
    clips, names, _ = _world(6, [4] * 6, 0.1)
    sound = 3 * names[4] + names[5]
    method, features = _two_spaces(clips, [sound, *[None] * (len(clips) - 1)])
    scores, weight = score_together(method, features, torch.cat([names, names], dim=1))
    pictures, _ = score_together(
        *_two_spaces(clips, [None] * len(clips)), torch.cat([names, names], dim=1)
    )
    heard = SHARED_SCALE["audio"] * normalize(sound, dim=0) @ names.T
    assert weight > 0, "pictures are answered together, whatever is known of the sound"
    torch.testing.assert_close(scores[0], (pictures[0] + heard) / 2, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores[1:], pictures[1:])


def test_assignment_meets_the_shares_that_are_asked_for() -> None:
    clips, names, _ = _world(5, [30, 5, 5, 5, 5], 0.3)
    cosines = normalize(clips, dim=1) @ names.T
    shares = (assignment(cosines, float("inf")) / TEMPERATURE).softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=1e-3, rtol=0)
    torch.testing.assert_close(assignment(cosines, 0.0), cosines)


def test_the_centres_of_a_mixture_are_between_names_and_clips() -> None:
    clips, names, _ = _world(4, [6] * 4, 0.2)
    rows = normalize(clips, dim=1)
    torch.testing.assert_close(mixture(rows, names, 1e9), rows @ names.T, atol=1e-5, rtol=0)
    # One class: the centre is the direction of all clips and the name, a closed form.
    one = names[:1]
    centre = rows.sum(dim=0) + 3 * one[0]
    expected = rows @ (centre / centre.norm())
    torch.testing.assert_close(mixture(rows, one, 3.0)[:, 0], expected)


def test_spread_is_the_perplexity_of_the_answers() -> None:
    cosines = torch.eye(4)[[0, 0, 0, 1]]
    perplexity = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert spread(cosines) == pytest.approx((perplexity - 1) / 3)
    # Of two names one has all clips: the other may not occur.
    assert spread(torch.eye(2)[[0, 0, 0]]) == 0
    assert spread(torch.ones(3, 1)) == 0
