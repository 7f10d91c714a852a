"""The loop: learns, is deterministic, resumes bit for bit, schedules as it says."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ezav.errors import EzavError
from ezav.features.feature_set import Ragged
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.training import Trainer, TrainingConfig, build_method, score_all, scoring
from ezav.training.checkpoint import Checkpoint
from ezav.training.modality_dropout import drop_modalities
from ezav.training.together import Together
from tests import worlds

CONFIG = EzAvgzlConfig(width=16, hidden=16, heads=2, head_dim=8, mlp=16, dropout=0.2)
DIMS = Dims(audio=worlds.AUDIO_DIM, visual=worlds.VISUAL_DIM, text=worlds.TEXT_DIM)
TEXT = worlds.class_vectors(6).vectors


def trainer(seed: int = 0, clips=None, config=CONFIG, **training) -> Trainer:
    method = build_method(EzAvgzl, config, DIMS, seed)
    settings = TrainingConfig(**{"batch_size": 16, **training})
    return Trainer(method, clips or worlds.feature_set(), TEXT, settings, seed)


def test_it_learns_to_classify_its_training_clips():
    run = trainer(config=dataclasses.replace(CONFIG, dropout=0.0))
    losses = [run.run_epoch().loss for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    clips = worlds.feature_set()
    right = score_all(run.method, clips, TEXT).argmax(1) == clips.labels
    assert right.float().mean() > 0.9


def test_resumed_training_ends_bit_for_bit_where_undisturbed_training_does():
    # The rate is cut after the second epoch, so before the stop, and after the third.
    settings = {"modality_dropout": 0.3, "plateau_patience": 0}

    def go_on(run: Trainer) -> None:
        for _ in range(2):
            run.run_epoch()
            run.report(0.5)

    whole, first, second = trainer(**settings), trainer(**settings), trainer(seed=9, **settings)
    go_on(whole), go_on(whole), go_on(first)
    torch.manual_seed(77)  # the state of the process must not matter
    second.restore(first.state())
    go_on(second)
    assert second.learning_rate == whole.learning_rate == pytest.approx(3e-7)
    for ours, theirs in zip(
        second.method.state_dict().values(), whole.method.state_dict().values()
    ):
        assert torch.equal(ours, theirs)


def test_an_epoch_is_the_loop_by_hand():
    """Adam with L2 on the clipped gradient, batch by batch; the log tells the mean loss."""
    config = dataclasses.replace(CONFIG, dropout=0.0)
    settings = {"weight_decay": 0.1, "gradient_clip": 0.05, "learning_rate": 1e-2}
    run, hand = trainer(config=config, **settings), trainer(config=config).method.train()
    optimizer = torch.optim.Adam(hand.parameters(), lr=1e-2, weight_decay=0.1)
    losses = []
    for batch in run.batches(trainer().sampler.epoch(None, 16)):
        loss = hand.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        assert torch.nn.utils.clip_grad_norm_(hand.parameters(), 0.05) > 0.05
        optimizer.step()
        losses.append(float(loss.detach()))
    assert run.run_epoch().loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    for ours, theirs in zip(run.method.parameters(), hand.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("batches", "passes", "clips"),
    [(500, 3, 144), (2, 3, 32), (500, None, 8000), (None, 3, 48)],
)
def test_an_epoch_ends_after_so_many_passes(batches, passes, clips):
    """Of 48 clips by 16: what is drawn is a number of passes, where batches would be more."""
    assert len(worlds.feature_set().labels) == 48
    run = trainer(batches_per_epoch=batches, max_passes_per_epoch=passes)
    assert run.begin_epoch().numel() == clips


def test_dropout_acts_in_training_alone():
    run, without = (trainer(config=dataclasses.replace(CONFIG, dropout=p)) for p in (0.5, 0.0))
    assert run.run_epoch().loss != pytest.approx(without.run_epoch().loss, rel=1e-3)
    without.method.load_state_dict(run.method.state_dict())
    clips = worlds.feature_set()
    expected = score_all(without.method, clips, TEXT)
    assert torch.equal(score_all(run.method.train(), clips, TEXT), expected)


def test_bfloat16_gives_the_same_loss_but_for_rounding():
    half, single = (trainer(precision=p).run_epoch().loss for p in ("bfloat16", "float32"))
    assert half != single
    assert half == pytest.approx(single, rel=0.02)


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_cuts_the_rate_where_torch_does(patience):
    run = trainer(learning_rate=1e-2, plateau_patience=patience)
    validation = (0.5, 0.50002, 0.4, 0.50004, 0.5, 0.5, 0.6, 0.5)  # 0.50002 is no better than 0.5
    rates = []
    for hm in validation:
        rates.append(run.run_epoch().learning_rate)
        run.report(hm)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, "max", 0.1, patience)
    expected = []
    for hm in validation:
        expected.append(reference.param_groups[0]["lr"])
        plateau.step(hm)
    assert rates == pytest.approx(expected)
    constant = trainer(schedule="constant", plateau_patience=patience)
    for hm in validation:
        constant.report(hm)
    assert constant.run_epoch().learning_rate == 3e-4


def test_the_seed_decides_batches_and_dropout():
    one, same, other = (trainer(seed).state() for seed in (0, 0, 1))
    for stream in ("sampler", "dropout"):
        assert torch.equal(one[stream], same[stream])
        assert not torch.equal(one[stream], other[stream])


def test_a_checkpoint_is_written_no_sooner_than_asked(tmp_path):
    for seconds, expected in ((0.0, {"epoch": 1}), (1000.0, None)):
        keeper = Checkpoint(tmp_path / f"{seconds}", "key", seconds)
        keeper.save(lambda: {"epoch": 1})
        assert keeper.load() == expected


def test_cosine_falls_from_the_rate_towards_zero():
    run = trainer(schedule="cosine", epochs=4, learning_rate=1.0)
    rates = [run._rate() for run.epoch in (1, 2, 3, 4)]
    assert rates == pytest.approx([1.0, 0.8536, 0.5, 0.1464], abs=1e-4)


def test_modality_dropout_never_takes_the_only_modality():
    present = torch.arange(400) % 2 == 0
    batch = Batch(
        audio=Tokens.pooled(torch.ones(400, 2), present),
        visual=Tokens.pooled(torch.ones(400, 3)),
        labels=torch.zeros(400, dtype=torch.long),
        class_embeddings=torch.zeros(1, 4),
    )
    dropped = drop_modalities(batch, 0.8)
    a, v = dropped.audio, dropped.visual
    assert bool((a.present | v.present).all())
    assert bool(v.present[~present].all())
    lost = (~a.present & present).sum() + (~v.present).sum()
    assert int(lost) == pytest.approx(0.8 * 200, abs=30)
    assert bool((a.values[~a.mask] == 0).all())


@pytest.mark.parametrize("modalities", ["both", "audio", "visual"])
def test_modality_dropout_never_takes_the_only_modality_that_is_read(modalities):
    config = dataclasses.replace(CONFIG, modalities=modalities)
    run = trainer(config=config, modality_dropout=0.9)
    for batch in run.batches(run.begin_epoch(None)):
        hidden = (~batch.audio.present, ~batch.visual.present)
        assert all(bool(one.any()) == (modalities == "both") for one in hidden)


def test_modality_dropout_of_a_pass_over_seeds_spares_the_only_modality_too():
    config = dataclasses.replace(CONFIG, modalities="visual")
    clips = worlds.feature_set()
    runs = {
        hidden: [trainer(seed, clips, config, modality_dropout=hidden) for seed in (0, 1)]
        for hidden in (0.0, 0.9)
    }
    losses = {hidden: [log.loss for log in Together(r).run_epoch()] for hidden, r in runs.items()}
    assert losses[0.0] == losses[0.9]


def test_scoring_in_blocks_equals_scoring_at_once():
    run = trainer()
    run.run_epoch()
    clips = worlds.feature_set()
    whole = score_all(run.method, clips, TEXT)
    assert torch.allclose(score_all(run.method, clips, TEXT, working=1), whole, atol=1e-6)


def test_a_block_of_long_clips_holds_few_of_them(monkeypatch):
    method = build_method(EzAvgzl, dataclasses.replace(CONFIG, temporal=True), DIMS, 0).eval()
    long, clips = 1000, worlds.feature_set()
    tokens = torch.randn(long * len(clips), worlds.AUDIO_DIM)
    times = torch.arange(float(long)).repeat(len(clips))
    clips = dataclasses.replace(
        clips, audio=Ragged(tokens, torch.arange(len(clips) + 1) * long, times)
    )
    whole = method.scores(*(x.gather(torch.arange(9)) for x in (clips.audio, clips.visual)), TEXT)
    blocks = []

    def scores(audio, visual, classes):
        blocks.append(audio.mask.shape)
        return EzAvgzl.scores(method, audio, visual, classes)

    monkeypatch.setattr(method, "scores", scores)
    assert torch.allclose(score_all(method, clips, TEXT)[:9], whole, atol=1e-5)
    assert sum(rows for rows, _ in blocks) == len(clips)
    assert max(rows * width for rows, width in blocks) <= scoring.TOKENS


def test_wrong_dimensions_and_non_finite_features_are_one_line():
    clips = worlds.feature_set()
    wrong = dataclasses.replace(clips, audio=Ragged.pooled(torch.ones(len(clips), 3)))
    with pytest.raises(EzavError, match="audio features have 3 dimensions"):
        trainer(clips=wrong)
    values = clips.visual.values.clone()
    values[5, 2] = float("nan")
    broken = dataclasses.replace(clips, visual=Ragged.pooled(values))
    told = f"visual features of '{clips.clips[5]}' hold values that are not finite"
    with pytest.raises(EzavError, match=told):
        trainer(clips=broken)


@pytest.mark.parametrize("value", [1e30, -3e38, 1e12])
def test_numbers_beyond_reason_are_refused_and_their_clip_is_named(value):
    clips = worlds.feature_set()
    values = clips.audio.values.clone()
    values[7, 1] = value
    beyond = dataclasses.replace(clips, audio=Ragged.pooled(values))
    told = f"audio features of '{clips.clips[7]}' reach {value:g}".replace("+", r"\+")
    with pytest.raises(EzavError, match=told):
        trainer(clips=beyond)
    with pytest.raises(EzavError, match=told):
        score_all(trainer(clips=clips).method, beyond, TEXT)


def test_large_values_in_half_precision_are_finite():
    clips = worlds.feature_set()
    values = (500 * clips.visual.values.abs()).half()
    assert bool(values.isfinite().all())
    assert bool(values.sum().isinf())
    large = dataclasses.replace(clips, visual=Ragged.pooled(values))
    assert trainer(clips=large).run_epoch().loss > 0
    values[3, 1] = float("-inf")
    with pytest.raises(EzavError, match="not finite"):
        trainer(clips=large)


def test_an_empty_modality_and_a_class_without_clips_are_one_line():
    clips = worlds.feature_set()
    silent = dataclasses.replace(
        clips, audio=Ragged.from_clips([None] * len(clips), worlds.AUDIO_DIM)
    )
    with pytest.raises(
        EzavError, match=r"has audio features; EZ-AVGZL learns.*`config.modalities=\"visual\"`"
    ):
        trainer(clips=silent)
    by_sight = trainer(clips=silent, config=dataclasses.replace(CONFIG, modalities="visual"))
    assert by_sight.run_epoch().loss > 0
    labels = clips.labels.where(clips.labels != 3, 2)
    with pytest.raises(EzavError, match=r"1 training classes have no clip.*'class 03'"):
        trainer(clips=dataclasses.replace(clips, labels=labels))


def test_a_diverging_loss_is_reported():
    run = trainer(learning_rate=1e30, batches_per_epoch=6)
    with pytest.raises(EzavError, match="lower the learning rate"):
        run.run_epoch()


def test_checkpoint_of_another_architecture_is_refused():
    state = trainer(config=dataclasses.replace(CONFIG, width=8)).state()
    with pytest.raises(EzavError, match="another architecture"):
        trainer().restore(state)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"batches_per_epoch": 0}, "batches_per_epoch must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, it is 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, it is nan"),
        ({"weight_decay": -1e-5}, "weight_decay must not be negative"),
        ({"plateau_patience": -1}, "plateau_patience must not be negative, it is -1"),
        ({"gradient_clip": 0.0}, "gradient_clip must be positive, it is 0"),
        ({"modality_dropout": 1.0}, r"modality_dropout 1.0 is outside \[0, 1\)"),
        ({"schedule": "cosin"}, "schedule is 'cosin'; use one of plateau, cosine, constant"),
        ({"sampling": "balanced"}, "sampling is 'balanced'; use one of class-balanced, uniform"),
    ],
)
def test_settings_beyond_reason_are_one_line(settings, words):
    with pytest.raises(EzavError, match=words):
        TrainingConfig(**settings)
