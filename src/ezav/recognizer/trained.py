"""What a recogniser is made of: all that is read from a folder, written to one, told on a card."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ezav.classes.embeddings import ClassEmbeddings
from ezav.features.header import Header
from ezav.protocol.appearance import Appearance
from ezav.protocol.calibration import Calibration
from ezav.protocol.evaluation import StageModel
from ezav.protocol.result import RunResult
from ezav.recognizer.taught import Taught


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained run without its data.

    Attributes:
        model: the trained method, its class embeddings `[K, d]`, which classes are seen.
        text: the raw text embeddings of the same K classes.
        header: of the feature store that the run was trained on; names the encoders.
        result: of the run.
        calibration: temperature and threshold learned on validation.
        tested: the file of the run's test scores; None where there is none, as in a shared
            folder: its numbers are then what its author says.
        taught: what was taught after the training, which model and text hold.
        base: model and text without it; None where nothing was taught.
        appearance: how clips that show a class are met; None: the method says so itself.
    """

    model: StageModel
    text: ClassEmbeddings
    header: Header
    result: RunResult
    calibration: Calibration
    tested: Path | None = None
    taught: Taught = field(default_factory=Taught)
    base: tuple[StageModel, ClassEmbeddings] | None = None
    appearance: Appearance | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The run's K class names."""
        return self.model.classes.names

    @property
    def seen(self) -> tuple[str, ...]:
        """The classes that clips were trained on."""
        return tuple(n for n, seen in zip(self.classes, self.model.seen.tolist()) if seen)
