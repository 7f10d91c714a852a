"""TCaF against the authors' own code, and what the corrected defaults promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.common.crop import crop
from ezav.methods.common.cross_modal import cross_modal_mask, kinds_and_real
from ezav.methods.tcaf.config import TCaFConfig
from ezav.methods.tcaf.method import TCaF
from ezav.methods.tcaf.weights import from_published
from tests.methods.fixtures import (
    Fixture,
    assert_released_step,
    close,
    close_gradients,
    close_losses,
    in_double,
    without_dropout,
)

SIZES = {
    "dim": 30,
    "out_dim": 16,
    "encoder_hidden": 18,
    "decoder_hidden": 14,
    "depth": 2,
    "heads": 2,
    "head_dim": 8,
    "mlp_dim": 16,
    "code_dim": 6,
}
NAMES = ("theta_o", "theta_w", "rho_o", "rho_w")
RELEASED = {
    "audio_divisor": 255.0,
    "visual_norm": "time",
    "evaluation_times": "steps",
    "encode_padding": True,
    "released_norm_passes": True,
}


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("tcaf")


def load(reference: Fixture, **config) -> TCaF:
    method = TCaF(TCaFConfig(**SIZES, **config), Dims(audio=12, visual=20, text=30))
    method.network.load_state_dict(from_published(reference.under("state"), depth=2))
    without_dropout(method)
    return method


def clips(reference: Fixture) -> tuple[Tokens, Tokens]:
    return tuple(
        Tokens(
            reference[f"batch/{name}"],
            reference[f"batch/{name}_mask"].bool(),
            reference[f"batch/timestep_{name}"],
        )
        for name in ("audio", "video")
    )


def batch_of(reference: Fixture) -> Batch:
    return reference.batch_with(*clips(reference))


def test_outputs_equal_the_authors(reference: Fixture) -> None:
    method = load(reference, **RELEASED).eval()
    output = method.output(*clips(reference))
    for name, ours in zip(NAMES, method.network.head(output, reference["batch/text"])):
        close(ours, reference[f"eval/{name}"], name)


def test_outputs_in_training_equal_the_authors(reference: Fixture) -> None:
    method = load(reference, **RELEASED).train().double()
    batch = in_double(batch_of(reference))
    output = method.output(batch.audio, batch.visual)
    for name, ours in zip(NAMES, method.network.head(output, reference["batch/text"].double())):
        close(ours, reference[f"train0/{name}"], name)


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_every_loss_term_equals_the_authors(reference: Fixture, mode: str) -> None:
    method = load(reference, **RELEASED).train(mode == "train0")
    loss = method.loss(batch_of(reference))
    assert len(loss.parts) == 3
    close_losses(loss.parts, reference.under(f"{mode}/loss"))
    close(loss.total, reference[f"{mode}/loss/total_loss"], "total")


def test_gradients_equal_the_authors(reference: Fixture) -> None:
    method = load(reference, **RELEASED).train().double()
    method.loss(in_double(batch_of(reference))).total.backward()
    close_gradients(method.network, from_published(reference.under("train0/grad"), depth=2))


def test_a_released_step_equals_the_authors(reference: Fixture) -> None:
    method = load(reference, **RELEASED)
    theirs = from_published(reference.under("after_one_official_iteration"), depth=2)
    assert_released_step(method, batch_of(reference), theirs)


def test_scores_with_step_times_are_the_authors_distances(reference: Fixture) -> None:
    method = load(reference, **RELEASED).eval()
    scores = method.scores(*clips(reference), reference["batch/text"])
    video = reference["eval/get_embeddings/video"]
    text = reference["eval/get_embeddings/text"]
    close(scores, -(video[:, None] - text[None]).square().sum(-1).sqrt(), "scores")


def test_seconds_at_evaluation_give_the_trained_code(reference: Fixture) -> None:
    config = {**RELEASED, "evaluation_times": "seconds"}
    method = load(reference, **config).eval()
    scores = method.scores(*clips(reference), reference["batch/text"])
    theta_o, theta_w = reference["eval/theta_o"], reference["eval/theta_w"]
    close(scores, -(theta_o[:, None] - theta_w[None]).square().sum(-1).sqrt(), "scores")


def test_mask_against_the_rule_pair_by_pair() -> None:
    audio = torch.tensor([[True, True, False], [False, False, False]])
    visual = torch.tensor([[True, False], [True, True]])
    kind = ["class"] + ["audio"] * 3 + ["visual"] * 2
    mask = cross_modal_mask(*kinds_and_real(audio, visual))
    for clip in range(2):
        real = [True, *audio[clip].tolist(), *visual[clip].tolist()]
        for i in range(6):
            for j in range(6):
                expected = real[j] and (kind[i] != kind[j] or kind[i] == "class")
                if real[i]:
                    assert bool(mask[clip, 0, i, j]) == expected
        assert mask[clip, 0].any(dim=-1).all()


def pad(tokens: Tokens, steps: int, garbage: float) -> Tokens:
    def more(x: Tensor, value: float) -> Tensor:
        return torch.cat([x, x.new_full((len(x), steps, *x.shape[2:]), value)], dim=1)

    return Tokens(more(tokens.values, garbage), more(tokens.mask, 0), more(tokens.times, garbage))


@pytest.mark.parametrize("training", [True, False])
def test_padding_never_matters(reference: Fixture, training: bool) -> None:
    method = load(reference).train(training)
    audio, visual = clips(reference)
    plain = method.output(audio, visual)
    padded = method.output(pad(audio, 4, 7.0), pad(visual, 3, -5.0))
    close(padded, plain.detach(), "padded")


def test_released_padding_moves_the_statistics(reference: Fixture) -> None:
    audio, visual = clips(reference)
    outputs = [
        load(reference, encode_padding=True).train().output(pad(audio, extra, 0.0), visual)
        for extra in (0, 6)
    ]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_crop_keeps_a_common_window() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True] * 50, [True] * 10 + [False] * 40])
    tokens = []
    for step in (0.96, 0.64):
        times = (torch.arange(50) + 0.5) * step * mask
        tokens.append(Tokens(times[..., None].clone(), mask, times))
    for random in (True, False):
        audio, visual = crop(*tokens, 12.0, random=random)
        for cut, step in ((audio, 0.96), (visual, 0.64)):
            # Values hold the original times: both modalities lost the same start.
            start = (cut.values[0, :, 0] - cut.times[0])[cut.mask[0]]
            assert torch.allclose(start, start[:1].expand_as(start), atol=1e-4)
            assert abs(int(cut.mask[0].sum()) - 12 / step) <= 1
            assert cut.times[0].max() < 12
        # The short clip stays whole.
        assert int(visual.mask[1].sum()) == 10
        starts = [float(cut.values[0, 0, 0] - cut.times[0, 0]) for cut in (audio, visual)]
        assert starts[0] == pytest.approx(starts[1], abs=1e-4)
        if not random:
            # The long clip lasts 48 s by its audio: the middle 12 s begin at 18 s.
            assert starts[0] == pytest.approx(18.0, abs=1e-4)
        scaled, _ = crop(*tokens, 12.0, random=False, audio_scale=0.5)
        assert int(scaled.mask[0].sum()) in (6, 7)


def test_training_crops_lie_anywhere_and_scoring_ones_in_the_middle() -> None:
    torch.manual_seed(0)
    times = (torch.arange(50) + 0.5).expand(40, -1)
    tokens = Tokens(times[..., None], torch.ones(40, 50).bool(), times)

    def starts(random: bool) -> torch.Tensor:
        _, cut = crop(tokens, tokens, 10.0, random=random)
        return cut.values[:, 0, 0] - cut.times[:, 0]

    anywhere = starts(random=True)
    assert 0 <= anywhere.min() < 5
    assert 35 < anywhere.max() <= 40
    assert torch.equal(starts(random=False), torch.full((40,), 20.0))


def test_restarted_times_begin_at_zero(reference: Fixture) -> None:
    audio, visual = clips(reference)
    moved = Tokens(audio.values, audio.mask, audio.times + 3.0)
    loud = {}
    for restart in (True, False):
        method = load(reference, restart_times=restart).eval()
        with torch.no_grad():
            method.network.time.linear.weight.mul_(100)
        plain = method.output(audio, visual)
        loud[restart] = (method.output(moved, visual) - plain).abs().max()
    assert loud[True] < 1e-2 < loud[False]


def test_a_transformer_has_a_layer() -> None:
    with pytest.raises(EzavError, match="depth must be at least 1"):
        TCaF(TCaFConfig(depth=0), Dims(audio=4, visual=6, text=5))
