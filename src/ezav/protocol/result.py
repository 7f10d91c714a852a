"""The typed result of a run: everything a table, a figure or a citation needs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

RESULT_VERSION = 1


class Metrics(BaseModel):
    """S, U, HM, ZSL and AUSUC as fractions in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    S: float
    U: float
    HM: float
    ZSL: float
    AUSUC: float


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
    alphas: dict[float, float] = Field(default_factory=dict)
    """Validation HM of every alpha that was tried, where alpha was chosen by it."""
    parameters: int
    timing: dict[str, float]
    versions: dict[str, str]
    store_fingerprint: str
    config: dict[str, Any]
    training: dict[str, Any]
