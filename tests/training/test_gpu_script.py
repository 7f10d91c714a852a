"""`perf/gpu.py`: what it runs on a processor, and that nothing in a step keeps a graph from it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ezav.features.tokens import Tokens
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.training import Trainer

PERF = Path(__file__).parents[2] / "perf"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PERF))
    return importlib.import_module("gpu")


def trainer(gpu: Any, **config: Any) -> Trainer:
    clips, text, settings = gpu.world(gpu.Bench("cpu", small=True))
    made: Trainer = gpu.training.trainer_of(
        replace(settings, **config), clips, text, "cpu", batches_per_epoch=4
    )
    return made


def test_each_part_runs_on_a_processor_and_says_what_needs_cuda(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = torch.rand(1, 3, 224, 224)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 16, 16), torch.nn.Flatten())
    monkeypatch.setattr(gpu, "networks", lambda _: [("a network", lambda: net, batch)])
    gpu.main(["--device", "cpu", "--small"])
    told = capsys.readouterr().out
    assert "NO GPU" in told
    assert "failed" not in told
    assert "captured: needs CUDA" in told
    assert "float16: needs CUDA" in told
    for title in gpu.PARTS:
        assert title in told


def test_a_part_that_fails_leaves_the_others_and_the_exit_code_says_so(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(gpu, "PARTS", {"One": broken, "Two": lambda _: print("  ran")})
    with pytest.raises(SystemExit) as exit_:
        gpu.main(["--device", "cpu", "--small"])
    told = capsys.readouterr().out
    assert exit_.value.code == 1
    assert "failed: RuntimeError: out of memory\n" in told
    assert "ran" in told


def test_an_epoch_of_the_captured_step_is_an_epoch_of_the_loop(gpu: Any) -> None:
    """With a capture that runs the step itself; the real one only replays it."""
    loop, fixed = trainer(gpu, dropout=0.0), trainer(gpu, dropout=0.0)
    loop.begin_epoch()  # the capture draws a batch too

    def run_again(step: Any, _: torch.device) -> Any:
        before = {name: w.clone() for name, w in fixed.method.state_dict().items()}
        loss = step()
        fixed.method.load_state_dict(before)  # a capture records and changes nothing
        assert fixed.optimizer is not None
        fixed.optimizer.state.clear()

        def replay() -> None:
            again = step()
            loss.total.data.copy_(again.total)
            for name, part in loss.parts.items():
                part.copy_(again.parts[name])

        return loss, replay

    epoch = gpu.captured(fixed, run_again)
    for _ in range(2):
        expected, found = loop.run_epoch(), epoch()
        assert found.loss == expected.loss
        assert found.parts == expected.parts
    for one, other in zip(fixed.method.parameters(), loop.method.parameters()):
        assert torch.equal(one, other)


@pytest.mark.parametrize("similarity", ["attention", "decoder", "cosine"])
def test_no_operation_of_the_loss_waits_for_the_device(gpu: Any, similarity: str) -> None:
    """On the meta device there is no number to read: what asks for one fails, as in a graph."""
    made = trainer(gpu, similarity=similarity)
    batch = next(made.batches(made.begin_epoch()))
    for loss in (EzAvgzlConfig().negatives, "batch"):
        method = trainer(gpu, similarity=similarity, negatives=loss).method.to("meta").train()
        sides = [
            Tokens(*(x.to("meta") for x in (t.values, t.mask, t.times)))
            for t in (batch.audio, batch.visual)
        ]
        moved = replace(
            batch,
            audio=sides[0],
            visual=sides[1],
            labels=batch.labels.to("meta"),
            class_embeddings=batch.class_embeddings.to("meta"),
        )
        method.loss(moved).total.backward()
        assert all(w.grad is not None for w in method.parameters() if w.requires_grad)
