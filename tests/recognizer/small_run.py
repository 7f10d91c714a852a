"""Small runs for tests: features that depend on the names of classes, and real little videos."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.encoders.registry import load_text
from ezav.features import EncoderInfo, FeatureStore, Header, StoreWriter
from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.media import read_clip
from ezav.methods.base import Dims, Method
from ezav.methods.ez_avgzl.method import EzAvgzlConfig
from ezav.protocol.evaluation import StageModel
from ezav.protocol.run_folder import write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from ezav.training.config import TrainingConfig
from tests.recognizer.tiny_encoders import Bands, Colour

NAMES = (
    "dog barking",
    "cat meowing",
    "playing the guitar",
    "playing the drums",
    "riding a horse",
    "driving a car",
    "rain falling on a roof",
    "sea waves breaking",
    "bird singing",
    "chopping wood",
)
AUDIO, VISUAL = 10, 12


def text_embeddings(names: tuple[str, ...] = NAMES) -> ClassEmbeddings:
    encoder = load_text("minilm")
    return ClassEmbeddings(names, encoder.encode(names), encoder.card.label)


def feature_store(folder: Path, tokens: int = 1, clips_per_class: int = 9) -> FeatureStore:
    """Clips whose features are linear in the text embedding of their class, plus noise.

    Clip 0 lacks sound, clip 1 lacks a picture.
    """
    text = text_embeddings()
    draw = torch.Generator().manual_seed(0)
    maps = [torch.randn(text.dim, dim, generator=draw) for dim in (AUDIO, VISUAL)]
    writer = StoreWriter(
        folder,
        Header(
            dataset="small",
            setting="test",
            encoders=(
                EncoderInfo(modality="audio", name="random", dimension=AUDIO),
                EncoderInfo(modality="visual", name="random", dimension=VISUAL),
            ),
        ),
    )
    splits = {}
    for row, name in enumerate(NAMES):
        for number in range(clips_per_class):
            clip = f"{name}/{number}"
            parts: list[Any] = []
            for one in maps:
                values = text.vectors[row] @ one + 0.3 * torch.randn(
                    tokens, one.shape[1], generator=draw
                )
                parts.append((values, torch.arange(tokens) * 0.5))
            audio, visual = parts
            splits[clip] = _split(row, number)
            writer.add(
                clip=clip,
                class_name=name,
                audio=None if clip == f"{NAMES[0]}/0" else audio,
                visual=None if clip == f"{NAMES[1]}/0" else visual,
            )
    writer.finish(splits, [text])
    return FeatureStore.open(folder)


def _split(row: int, number: int, classes: int = len(NAMES)) -> str:
    if row >= classes - 2:
        return "test_unseen"
    if row >= classes - 4:
        return "test_seen" if number % 3 == 0 else "val_unseen"
    return ("test_seen", "val_seen", "train")[number % 3]


def train(
    store: FeatureStore,
    folder: Path,
    recipe: ClassEmbeddingRecipe | None = None,
    **config: Any,
) -> Path:
    """A run of EZ-AVGZL on the store, small and quick."""
    settings: dict[str, Any] = {"width": 32, "hidden": 32, "heads": 2, "head_dim": 8, "mlp": 16}
    settings["classes"] = recipe or ClassEmbeddingRecipe(source="raw")
    protocol = TwoStageProtocol(
        method="ez_avgzl",
        config=EzAvgzlConfig(**{**settings, **config}),
        training=TrainingConfig(epochs=8, batches_per_epoch=10),
    )
    write_run(protocol.fit(store), folder)
    return folder


COLOURS = {
    "blue light": (40, 60, 220),
    "dark room": (10, 10, 10),
    "green light": (40, 200, 40),
    "orange light": (240, 140, 30),
    "purple light": (160, 40, 200),
    "red light": (220, 40, 40),
    "white light": (240, 240, 240),
    "yellow light": (220, 210, 40),
}
TONES = {name: 200.0 + 150 * row for row, name in enumerate(sorted(COLOURS))}
"""Hertz; each light hums in its own tone."""


def write_video(
    path: Path,
    lights: Sequence[str],
    seconds: float = 1.5,
    sound: bool = True,
    picture: bool = True,
) -> Path:
    """An mp4 that shows each light for `seconds`, with its hum; without a stream where False."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(zlib.crc32(path.name.encode()))
    with av.open(str(path), "w", format="mp4") as container:
        if picture:
            video = container.add_stream("libx264", rate=12)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.options = {"preset": "ultrafast"}
        if sound:
            audio = container.add_stream("aac", rate=16_000, layout="mono")
        for name in lights if picture else []:
            for _ in range(round(12 * seconds)):
                image = np.clip(np.array(COLOURS[name]) + draw.normal(0, 12, (48, 64, 3)), 0, 255)
                frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
                container.mux(video.encode(frame))
        if picture:
            container.mux(video.encode(None))
        if sound:
            times = np.arange(round(16_000 * seconds)) / 16_000
            wave = np.concatenate([0.3 * np.sin(2 * np.pi * TONES[n] * times) for n in lights])
            wave = (wave + draw.normal(0, 0.01, len(wave))).astype(np.float32)
            for start in range(0, len(wave), 1024):
                block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
                block.sample_rate, block.pts, block.time_base = 16_000, start, Fraction(1, 16_000)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def media_store(folder: Path, videos: Path, clips_per_class: int = 6) -> FeatureStore:
    """A store of generated videos, through encoders of our own."""
    visual, audio = Colour(), Bands()
    encoders = tuple(
        EncoderInfo(
            modality=modality,  # type: ignore[arg-type]
            name=one.card.name,
            revision=one.card.revision,
            dimension=one.card.dimension,
        )
        for modality, one in (("audio", audio), ("visual", visual))
    )
    writer = StoreWriter(folder, Header(dataset="lights", setting="test", encoders=encoders))
    names = tuple(sorted(COLOURS))
    splits = {}
    for row, name in enumerate(names):
        for number in range(clips_per_class):
            path = videos / name / f"{number}.mp4"
            write_video(path, [name])
            clip = read_clip(
                path, video=visual.card.needs.frame_spec, audio=audio.card.needs.sample_rate
            )
            assert clip.frames is not None
            assert clip.waveform is not None
            key = f"{name}/{number}.mp4"
            writer.add(
                clip=key,
                class_name=name,
                audio=tuple(audio.encode([clip.waveform])[0]),  # type: ignore[arg-type]
                visual=tuple(visual.encode([clip.frames])[0]),  # type: ignore[arg-type]
            )
            splits[key] = _split(row, number, len(names))
    writer.finish(splits, [text_embeddings(names)])
    return FeatureStore.open(folder)


class Prototypes(Method):
    """Minus the squared distance to a prototype, a linear function of the class embedding.

    Solved so that each trained class's prototype is the mean of its clips: right without training.
    """

    Config = EzAvgzlConfig

    def __init__(self, clips: FeatureSet, classes: ClassEmbeddings) -> None:
        dims = Dims(audio=clips.audio.dim, visual=clips.visual.dim, text=classes.dim)
        super().__init__(EzAvgzlConfig(classes=ClassEmbeddingRecipe(source="raw")), dims)
        values = torch.cat([clips.audio.means, clips.visual.means], dim=1)
        self.scale = values.std(dim=0) + 0.1
        means = torch.stack([values[clips.labels == k].mean(0) for k in range(len(classes))])
        self.map = torch.linalg.pinv(classes.vectors) @ (means / self.scale)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: torch.Tensor) -> torch.Tensor:
        values = torch.cat([audio.mean(), visual.mean()], dim=1) / self.scale
        present = [x.present[:, None].expand(-1, x.dim) for x in (audio, visual)]
        difference = values[:, None] - (class_embeddings @ self.map)[None]
        return -(difference.square() * torch.cat(present, dim=1)[:, None]).sum(dim=2)


def sure_recognizer(run: Path, store: FeatureStore) -> Recognizer:
    """The recogniser of a run with a method in place of its own that knows every clip."""
    made = Recognizer.load(run, import_code=True)
    classes = made.model.classes.select(store.classes)
    seen = torch.tensor([name in made.seen for name in store.classes])
    method = Prototypes(store.select(), classes).eval()
    calibration = replace(made.calibration, gamma=0.0, temperature_=4.0, none_=-np.inf)
    model = StageModel(method, classes, seen)
    text = made.text.select(classes.names)
    trained = replace(made.trained, model=model, text=text, calibration=calibration)
    return Recognizer(trained, import_code=True)
