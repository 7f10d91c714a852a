"""Encoders for tests, loaded by import path as a user's own would be."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.media import Frames, Waveform

if TYPE_CHECKING:
    from torch import Tensor

HERE = "tests.extraction.encoders"


class MeanColour:
    """Some frames, their mean colours; `pause` seconds of work for each clip."""

    def __init__(
        self, pause: float = 0.0, frames: int = 2, fps: float | None = None, scale: float = 1.0
    ) -> None:
        self.pause, self.scale = pause, scale
        self.card = EncoderCard(
            name=f"{HERE}:MeanColour",
            kind="visual",
            dimension=3,
            needs=MediaNeeds(frames=None if fps else frames, fps=fps, short_side=16),
            source="tests",
            revision="1",
            licence="MIT",
        )

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        time.sleep(self.pause)
        return [
            Encoded(
                c.images.mean(axis=(1, 2)).astype(np.float32) / 255 * np.float32(self.scale),
                c.times.astype(np.float32),
            )
            for c in clips
        ]


class Nameless(MeanColour):
    """Its card calls it something that is no import path."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.but(name="my colours")


class Slow(MeanColour):
    """Wide enough a target for a kill."""

    def __init__(self) -> None:
        super().__init__(pause=float(os.environ.get("EZAV_TEST_PAUSE", 0.04)))


class Hostile(MeanColour):
    """Does to its process what a hostile file might: chosen by the number of frames' height."""

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        height = clips[0].images.shape[1]
        if height == 10:
            time.sleep(3600)
        if height == 12:
            os.kill(os.getpid(), signal.SIGSEGV)
        if height == 14:  # addresses without memory: only a limit on addresses sees it
            np.empty(8 << 30, np.uint8)
        if height == 6:
            raise RuntimeError("a surprise\nin two lines")
        if height == 8:
            return [Encoded(np.full((1, 3), np.nan, np.float32), np.zeros(1, np.float32))]
        return super().encode(clips)


class Hoarder(MeanColour):
    """Takes 40 MB more every twentieth of a second, to 800 MB, and never answers.

    With torch loaded nothing limits addresses.
    """

    def __init__(self) -> None:
        import torch  # noqa: F401

        super().__init__()

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        hoard: list[np.ndarray] = []
        while True:
            if len(hoard) < 20:
                hoard.append(np.ones(40 << 20, np.uint8))
            time.sleep(0.05)


class OnDevice(MeanColour):
    """Can be put on a device, or says so; counts its batches."""

    batches: ClassVar[list[int]] = []

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.device = device

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        self.batches.append(len(clips))
        if any(c.images.shape[1] == 6 for c in clips):
            raise RuntimeError("not this one")
        return super().encode(clips)


class Broken(MeanColour):
    """Fails on every clip: not the clips' fault."""

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        raise AttributeError("no weights")


class Fragile(MeanColour):
    """Works until the environment says that its device is gone."""

    def encode(self, clips: Sequence[Frames]) -> list[Encoded]:
        if os.environ.get("EZAV_TEST_DEVICE") == "gone":
            raise RuntimeError("no such device")
        return super().encode(clips)


class Level:
    """One token: the loudness of the sound."""

    def __init__(self) -> None:
        self.card = EncoderCard(
            name=f"{HERE}:Level",
            kind="audio",
            dimension=1,
            needs=MediaNeeds(sample_rate=8_000),
            source="tests",
            revision="1",
            licence="MIT",
        )

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        return [
            Encoded(
                np.array([[np.sqrt((c.samples**2).mean())]], np.float32),
                np.array([c.start + c.duration / 2], np.float32),
            )
            for c in clips
        ]


class Killed(Level):
    """Its process is killed, as by a system without memory, the first `kills` times."""

    def __init__(self, folder: str, kills: int) -> None:
        super().__init__()
        self._folder, self._kills = Path(folder), kills

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        number = len(list(self._folder.iterdir()))
        if number < self._kills:
            (self._folder / str(number)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(clips)


class Deaf(Level):
    """Fails on every sound."""

    def encode(self, clips: Sequence[Waveform]) -> list[Encoded]:
        raise AttributeError("no weights")


class HashText:
    """A vector for a name, from its hash: light, and the same everywhere."""

    def __init__(self) -> None:
        self.card = EncoderCard(
            name=f"{HERE}:HashText",
            kind="text",
            dimension=8,
            source="tests",
            revision="1",
            licence="MIT",
        )

    def encode(self, names: Sequence[str]) -> Tensor:
        import torch  # not above: workers load this file too, and should start fast

        rows = [np.frombuffer(hashlib.sha256(n.encode()).digest(), np.uint32) for n in names]
        vectors = torch.tensor(np.array(rows, dtype=np.float64) / 2**32 - 0.5, dtype=torch.float32)
        return torch.nn.functional.normalize(vectors, dim=1)


VISUAL, SLOW, HOSTILE = f"{HERE}:MeanColour", f"{HERE}:Slow", f"{HERE}:Hostile"
AUDIO, TEXT = f"{HERE}:Level", f"{HERE}:HashText"
LIGHT = {"visual": VISUAL, "audio": AUDIO, "text": TEXT}
