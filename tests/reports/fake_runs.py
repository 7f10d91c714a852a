"""Run folders made by hand: the files a report reads, with scores of a chosen skill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ezav.classes.embeddings import ClassEmbeddings
from ezav.metrics import calibrated_predictions, per_class_recall
from ezav.protocol.chance import chance
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.measure import metrics_of
from ezav.protocol.result import ClassResult, RunResult


def names_of(classes: int) -> tuple[str, ...]:
    shapes = ("red square", "blue circle", "green star", "small triangle", "striped ring")
    ways = ("bouncing", "spinning", "falling slowly", "growing", "blinking twice", "rolling")
    sounds = ("high beep", "low hum", "white noise", "two clicks", "rising tone", "bell")
    every = [f"{a} {b} with a {c}" for c in sounds for b in ways for a in shapes]
    return tuple(sorted(f"{every[i % len(every)]}{i // len(every) or ''}" for i in range(classes)))


def evaluation(
    names: Sequence[str], unseen: int, clips_per_class: int, skill: float, seed: int
) -> Evaluation:
    """Gaussian scores; the true class gets `skill` more, seen classes 0.5 more."""
    generator = torch.Generator().manual_seed(seed)
    count = len(names)
    targets = torch.arange(count).repeat_interleave(clips_per_class)
    seen = torch.ones(count, dtype=torch.bool)
    seen[torch.randperm(count, generator=torch.Generator().manual_seed(7))[:unseen]] = False
    scores = torch.randn(len(targets), count, generator=generator)
    scores[torch.arange(len(targets)), targets] += skill
    scores += 0.5 * seen
    clips = tuple(f"{names[int(t)]}/clip{i:04d}.mp4" for i, t in enumerate(targets))
    return Evaluation(scores, targets, seen, tuple(names), clips)


def embeddings(names: Sequence[str], crowd: float, source: str = "toy text 1") -> ClassEmbeddings:
    """Names that share words have similar vectors; `crowd` moves all of them together."""
    rows = []
    for name in names:
        parts = [
            torch.randn(32, generator=torch.Generator().manual_seed(hash_of(word)))
            for word in name.split()
        ]
        rows.append(torch.stack(parts).sum(0))
    vectors = torch.nn.functional.normalize(torch.stack(rows), dim=1)
    common = torch.ones(32) / 32**0.5
    return ClassEmbeddings(tuple(names), vectors + crowd * common, source)


def hash_of(word: str) -> int:
    return sum((i + 1) * ord(c) for i, c in enumerate(word)) % 100_003


def write_run(
    folder: Path,
    *,
    label: str = "ez_avgzl",
    method: str = "ez_avgzl",
    seed: int = 0,
    skill: float = 2.0,
    names: Sequence[str] | None = None,
    classes: int = 8,
    unseen: int = 3,
    clips_per_class: int = 6,
    source: str = "ceo",
    shuffle: bool = False,
    parameters: int = 1234,
    gamma: float | None = None,
    history: int = 6,
    config: dict[str, Any] | None = None,
    splits: dict[str, Any] | None = None,
    **result: Any,
) -> RunResult:
    """Write a run folder and return its result; `result` overrides fields of the result."""
    names = names_of(classes) if names is None else tuple(names)
    test = evaluation(names, unseen, clips_per_class, skill, seed)
    validation = evaluation(names, unseen, clips_per_class, skill, seed + 1000)
    gamma = validation.curve().gamma if gamma is None else gamma
    recall = per_class_recall(
        calibrated_predictions(test.scores, test.seen, gamma), test.targets, len(names)
    )
    sides = {
        "seen": [n for n, s in zip(names, test.seen.tolist()) if s],
        "unseen": [n for n, s in zip(names, test.seen.tolist()) if not s],
    }
    made = RunResult(
        **{
            "method": method,
            "label": label,
            "dataset": "toy",
            "setting": "main",
            "text_alignment": "by_name",
            "seed": seed,
            "gamma": gamma,
            "epoch": max(1, history - 2),
            "metrics": metrics_of(test, gamma),
            "validation": metrics_of(validation, gamma),
            "chance": chance(len(sides["seen"]), len(sides["unseen"])),
            "per_class": [
                ClassResult(name=n, seen=bool(s), clips=clips_per_class, recall=float(r))
                for n, s, r in zip(names, test.seen, recall)
            ],
            "candidates": sides,
            "class_embeddings": {"encoder": "toy text 1"},
            "parameters": parameters,
            "timing": {"stage_1": 1.5, "stage_2": 1.0, "test": 0.1},
            "versions": {"ezav": "0.1.0", "torch": "2", "python": "3.11"},
            "store_fingerprint": "f" * 16,
            "config": {"classes": {"source": source, "shuffle": shuffle}, **(config or {})},
            "training": {"epochs": 10},
            **result,
        }
    )
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(made.model_dump_json(indent=2))
    lines = [
        {"stage": 1, "epoch": e, "loss": 3.0 / e, "validation_HM": made.validation.HM * e / (e + 1)}
        for e in range(1, history + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = embeddings(names, crowd=1.0)
    text.save(folder / "text.safetensors")
    (text if source == "raw" else embeddings(names, crowd=0.1)).save(
        folder / "class_embeddings.safetensors"
    )
    for name, one in (("test", test), ("validation", validation)):
        save_file(
            {"scores": one.scores, "targets": one.targets, "seen": one.seen},
            folder / f"{name}.safetensors",
            {"classes": json.dumps(one.classes), "clips": json.dumps(one.clips)},
        )
    header = {
        "dataset": made.dataset,
        "encoders": [{"modality": "audio", "name": "beeps", "revision": "1", "dimension": 4}],
        "splits": splits or {"how": "drawn", "seed": 3, "detail": ""},
    }
    (folder / "store.json").write_text(json.dumps(header))
    return made
