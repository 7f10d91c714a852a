"""Metrics of generalized zero-shot learning: pure functions on tensors."""

from ezav.metrics.accuracy import (
    confusion_matrix,
    mean_recall,
    per_class_recall,
    top_k_accuracy,
)
from ezav.metrics.auroc import auroc
from ezav.metrics.calibration_error import expected_calibration_error
from ezav.metrics.curve import SeenUnseenCurve, seen_unseen_curve
from ezav.metrics.gzsl import (
    GZSLScores,
    calibrated_predictions,
    gzsl_scores,
    harmonic_mean,
)
from ezav.metrics.peer import PeerEvaluation, peer_distances, peer_evaluation, peer_grid

__all__ = [
    "GZSLScores",
    "PeerEvaluation",
    "SeenUnseenCurve",
    "auroc",
    "calibrated_predictions",
    "confusion_matrix",
    "expected_calibration_error",
    "gzsl_scores",
    "harmonic_mean",
    "mean_recall",
    "peer_distances",
    "peer_evaluation",
    "peer_grid",
    "per_class_recall",
    "seen_unseen_curve",
    "top_k_accuracy",
]
