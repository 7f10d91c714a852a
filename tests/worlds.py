"""Small worlds for tests: features that depend on class vectors, so that transfer is possible."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter
from ezav.features.feature_set import FeatureSet, Ragged

AUDIO_DIM, VISUAL_DIM, TEXT_DIM = 10, 12, 8


def class_vectors(classes: int, seed: int = 0) -> ClassEmbeddings:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(classes, TEXT_DIM, generator=generator)
    return ClassEmbeddings(tuple(f"class {i:02d}" for i in range(classes)), vectors, "random")


def clip_features(
    labels: Tensor, text: Tensor, noise: float = 0.3, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """Pooled audio `[N, 10]` and visual `[N, 12]`: linear in the class vector, plus noise."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(TEXT_DIM, dim, generator=generator) for dim in (AUDIO_DIM, VISUAL_DIM)]
    clean = [text[labels] @ one for one in maps]
    audio, visual = (x + noise * torch.randn(x.shape, generator=generator) for x in clean)
    return audio, visual


def feature_set(classes: int = 6, clips_per_class: int = 8, seed: int = 1) -> FeatureSet:
    text = class_vectors(classes)
    labels = torch.arange(classes).repeat_interleave(clips_per_class)
    audio, visual = clip_features(labels, text.vectors, seed=seed)
    return FeatureSet(
        audio=Ragged.pooled(audio),
        visual=Ragged.pooled(visual),
        labels=labels,
        clips=tuple(f"clip{i}" for i in range(len(labels))),
        classes=text.names,
    )


def store(path: Path, classes: int = 12, clips_per_class: int = 12) -> FeatureStore:
    """A store with all five splits: 2 unseen validation classes and 2 unseen test classes."""
    text = class_vectors(classes)
    labels = torch.arange(classes).repeat_interleave(clips_per_class)
    audio, visual = clip_features(labels, text.vectors)
    header = Header(
        dataset="tiny",
        setting="test",
        encoders=(
            EncoderInfo(modality="audio", name="random", dimension=AUDIO_DIM),
            EncoderInfo(modality="visual", name="random", dimension=VISUAL_DIM),
            EncoderInfo(modality="text", name="random", dimension=TEXT_DIM),
        ),
    )
    writer = StoreWriter(path, header)
    splits = {}
    for row, label in enumerate(labels.tolist()):
        clip = f"clip{row:04d}"
        writer.add(
            clip=clip,
            class_name=text.names[label],
            audio=(audio[row : row + 1], torch.zeros(1)),
            visual=(visual[row : row + 1], torch.zeros(1)),
        )
        splits[clip] = _split(label, row % clips_per_class, classes)
    writer.finish(splits, [text])
    return FeatureStore.open(path)


def _split(label: int, clip: int, classes: int) -> str:
    if label >= classes - 2:
        return "test_unseen"
    if label >= classes - 4:
        return "val_unseen" if clip % 6 else "test_seen"
    return {0: "val_seen", 1: "test_seen"}.get(clip % 6, "train")
