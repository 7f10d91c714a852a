"""TCaF against the authors' own code, and what the corrected defaults promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.common.crop import crop
from ezav.methods.tcaf.method import TCaF, TCaFConfig
from ezav.methods.tcaf.network import cross_modal_mask
from ezav.methods.tcaf.weights import from_published
from tests.methods.fixtures import Fixture, close, close_gradients, without_dropout

SIZES = {
    "encoder_hidden": 18,
    "decoder_hidden": 14,
    "depth": 2,
    "heads": 2,
    "head_dim": 8,
    "mlp_dim": 16,
    "code_dim": 6,
}
RELEASED = {
    "audio_divisor": 255.0,
    "visual_norm": "time",
    "evaluation_times": "steps",
    "encode_padding": True,
}
# In training mode, BatchNorm over 6 clips amplifies the rounding of the float32 reference: against
# float64 it is off by up to 4e-5. Elsewhere 1e-5 holds.
REFERENCE_NOISE = {"eval": 1e-5, "train0": 4e-5}


@pytest.fixture(scope="module")
def reference() -> Fixture:
    return Fixture("tcaf_tiny")


def load(reference: Fixture, **config) -> TCaF:
    method = TCaF(TCaFConfig(**SIZES, **config), Dims(audio=12, visual=20, text=300))
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
    audio, visual = clips(reference)
    return Batch(
        audio=audio,
        visual=visual,
        labels=reference["batch/cls_numeric"],
        class_embeddings=reference["batch/embeddings_crossentropy"],
    )


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_outputs_equal_the_authors(reference: Fixture, mode: str) -> None:
    method = load(reference, **RELEASED).train(mode == "train0").double()
    output = method.output(*map(in_double, clips(reference)))
    text = reference["batch/text"].double()
    names = ("theta_o", "theta_w", "rho_o", "rho_w")
    for name, ours in zip(names, method.network.head(output, text)):
        close(ours, reference[f"{mode}/{name}"], name, REFERENCE_NOISE[mode])


@pytest.mark.parametrize("mode", ["eval", "train0"])
def test_every_loss_term_equals_the_authors(reference: Fixture, mode: str) -> None:
    method = load(reference, **RELEASED).train(mode == "train0")
    loss = method.loss(batch_of(reference))
    theirs = {
        "cross_entropy": "cross_entropy",
        "regression": "loss_reg",
        "reconstruction": "loss_cmd_rec",
    }
    assert set(loss.parts) == set(theirs)
    for part, name in theirs.items():
        close(loss.parts[part], reference[f"{mode}/loss/{name}"], part)
    close(loss.total, reference[f"{mode}/loss/total_loss"], "total")


def test_gradients_equal_the_authors(reference: Fixture) -> None:
    method = load(reference, **RELEASED).train().double()
    audio, visual = map(in_double, clips(reference))
    batch = replace(
        batch_of(reference),
        audio=audio,
        visual=visual,
        class_embeddings=reference["batch/embeddings_crossentropy"].double(),
    )
    method.loss(batch).total.backward()
    theirs = from_published(reference.under("train0/grad"), depth=2)
    close_gradients(method.network, theirs, tolerance=2e-5)


def in_double(tokens: Tokens) -> Tokens:
    return replace(tokens, values=tokens.values.double(), times=tokens.times.double())


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
    mask = cross_modal_mask(audio, visual)
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
