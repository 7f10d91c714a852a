"""The typed result of a run: everything a table, a figure or a citation needs."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

RESULT_VERSION = 1


Share = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: None if math.isnan(value) else value, when_used="json"),
]
"""A fraction; nan, `null` in JSON, where there is nothing it could be a share of."""


class Metrics(BaseModel):
    """S, U, HM, ZSL and AUSUC as fractions in [0, 1].

    Where every class was trained on there is S alone; the others are nan.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    S: Share
    U: Share
    HM: Share
    ZSL: Share
    AUSUC: Share


class ClassResult(BaseModel):
    """Recall of one class: among all candidates, and for unseen classes among the unseen."""

    name: str
    seen: bool
    clips: int
    recall: float | None
    zsl_recall: float | None = None


class MemberWorth(BaseModel):
    """A member's weight in a stack; its HM alone; what the stack's HM loses without it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float
    alone: float
    lost: float


class Control(BaseModel):
    """How far a run is above a row that it should beat, on the same test clips.

    `HM` is that row's; `above` what the run has more, `low` and `high` its 95 % interval over
    resampled clips.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    HM: float
    above: float
    low: float
    high: float


class RunResult(BaseModel):
    """One run of one method with one seed under the two-stage protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = RESULT_VERSION
    method: str
    label: str = ""
    """What tables call this run, where it differs from the method's name."""
    dataset: str
    setting: str
    simulated: bool = False
    text_alignment: str
    seed: int
    gamma: float
    epoch: int
    metrics: Metrics
    validation: Metrics
    chance: Metrics
    """Scores of a guess that ignores the clip, calibrated as well as possible."""
    per_class: list[ClassResult]
    candidates: dict[str, list[str]] = Field(description="seen and unseen class names")
    class_embeddings: dict[str, Any] = Field(default_factory=dict)
    folds: int = 0
    """Class folds that chose epoch and gamma, repeats counted; 0: the validation classes did.
    `validation` is the mean over them."""
    validation_error: float | None = None
    """Standard error of the validation HM over the class folds."""
    members: dict[str, MemberWorth] = Field(default_factory=dict)
    """What each member of a stack was worth on the class folds."""
    controls: dict[str, Control] = Field(default_factory=dict)
    """`shuffled`: the run's own scores with the names of the unseen classes shuffled. `frozen`:
    what the encoders know by name without training, where that was tried."""
    alphas: dict[float, float] = Field(default_factory=dict)
    """Validation HM of every alpha that was tried, where alpha was chosen by it."""
    classes_tried: dict[str, list[float]] = Field(default_factory=dict)
    """Where validation chose the class embeddings: of each alternative a closed form's HM in each
    class fold, the raw text first. `config` has the one that was chosen."""
    gate: Literal["none", "learned", "mean", "released"] = "none"
    """Where the threshold of the gate comes from that decides which classes a clip may be of."""
    parameters: int
    timing: dict[str, float]
    versions: dict[str, str]
    store_fingerprint: str
    config: dict[str, Any]
    training: dict[str, Any]
