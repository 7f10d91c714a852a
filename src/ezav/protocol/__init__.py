"""The two-stage protocol: calibration learned on validation only, a typed result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.protocol.evaluation import Evaluation, StageModel
    from ezav.protocol.fitted import FittedProtocol
    from ezav.protocol.result import ClassResult, Metrics, RunResult
    from ezav.protocol.run_folder import read_model, read_result, write_run
    from ezav.protocol.stages import Stage, read_evaluation, read_stage
    from ezav.protocol.two_stage import TwoStageProtocol
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "ClassResult": "ezav.protocol.result",
            "Evaluation": "ezav.protocol.evaluation",
            "FittedProtocol": "ezav.protocol.fitted",
            "Metrics": "ezav.protocol.result",
            "RunResult": "ezav.protocol.result",
            "Stage": "ezav.protocol.stages",
            "StageModel": "ezav.protocol.evaluation",
            "TwoStageProtocol": "ezav.protocol.two_stage",
            "read_evaluation": "ezav.protocol.stages",
            "read_model": "ezav.protocol.run_folder",
            "read_result": "ezav.protocol.run_folder",
            "read_stage": "ezav.protocol.stages",
            "write_run": "ezav.protocol.run_folder",
        },
    )

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
