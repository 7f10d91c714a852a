"""The two-stage protocol: calibration learned on validation only, a typed result."""

from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.fitted import FittedProtocol
from ezav.protocol.result import ClassResult, Metrics, RunResult
from ezav.protocol.run_folder import read_model, read_result, write_run
from ezav.protocol.stages import Stage, read_evaluation, read_stage
from ezav.protocol.two_stage import TwoStageProtocol

__all__ = [
    "ClassResult",
    "Evaluation",
    "FittedProtocol",
    "Metrics",
    "RunResult",
    "Stage",
    "StageModel",
    "TwoStageProtocol",
    "read_evaluation",
    "read_model",
    "read_result",
    "read_stage",
    "write_run",
]
