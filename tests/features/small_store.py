"""Small stores for tests: random features of known clips, in valid splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.header import EncoderInfo, Header
from ezav.features.splits import draw_splits
from ezav.features.writer import StoreWriter

AUDIO, VISUAL = 5, 7
HEADER = Header(
    dataset="small",
    encoders=(
        EncoderInfo(modality="audio", name="noise", revision="1", dimension=AUDIO),
        EncoderInfo(modality="visual", name="snow", revision="1", dimension=VISUAL),
    ),
)
CLASSES = ("ant", "bee", "cat", "dog", "eel")

Clip = dict[str, Any]


def make_clip(number: int, missing: bool = True) -> Clip:
    """Clip `number`: class in turn, 0–3 tokens of each modality, known by its seed alone."""
    generator = torch.Generator().manual_seed(number)

    def tokens(count: int, dim: int) -> tuple[Tensor, Tensor] | None:
        if not count:
            return None
        return torch.randn(count, dim, generator=generator), torch.arange(count) + 0.5

    audio, visual = (number % 4, 1 + number % 3) if missing else (1, 2)
    return {
        "clip": f"clip{number:04d}",
        "class_name": CLASSES[number % len(CLASSES)],
        "audio": tokens(audio, AUDIO),
        "visual": tokens(visual, VISUAL),
        "duration": 1.0 + number,
        "path": f"videos/clip{number:04d}.mp4",
    }


def embeddings(seed: int = 0, encoder: str = "random words 1", dim: int = 6) -> ClassEmbeddings:
    """Random class embeddings of the small classes."""
    generator = torch.Generator().manual_seed(seed)
    return ClassEmbeddings(CLASSES, torch.randn(len(CLASSES), dim, generator=generator), encoder)


def splits_of(clips: list[Clip]) -> dict[str, str]:
    """A seeded draw over the clips."""
    return draw_splits([c["clip"] for c in clips], [c["class_name"] for c in clips])


def write_store(path: Path, count: int = 25, **settings: Any) -> list[Clip]:
    """A finished store of `count` clips; returns what went in."""
    clips = [make_clip(number) for number in range(count)]
    with StoreWriter(path, HEADER, **settings) as writer:
        for clip in clips:
            writer.add(**clip)
        writer.finish(splits_of(clips), [embeddings()])
    return clips
