"""Probabilities of a frozen recogniser from a folder of labelled clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ezav.errors import EzavError
from ezav.extraction.listing import Listing
from ezav.protocol.calibration import Calibration
from ezav.protocol.evaluation import Evaluation

if TYPE_CHECKING:
    from ezav.recognizer.recognizer import Recognizer

_AT_ONCE = 16


def calibrated(recognizer: Recognizer, listing: Listing) -> Calibration:
    """Temperature and threshold from the scores of labelled clips among their classes.

    A clip that cannot be read, or has nothing that is read, is left out.

    Raises:
        EzavError: fewer than two classes, or no clip that can be answered.
    """
    names = listing.classes
    if len(names) < 2:
        raise EzavError(
            f"'{listing.name}' holds clips of one class: there is nothing to choose from",
            "calibrate on clips of two classes or more",
        )
    candidates = recognizer.candidates(names)
    scores, targets, clips = [], [], []
    for start in range(0, len(listing.items), _AT_ONCE):
        some = listing.items[start : start + _AT_ONCE]
        for item, clip in zip(some, recognizer.encode([item.path for item in some])):
            if clip.error or not any(kind in clip.tokens for kind in recognizer.reads):
                continue
            scores.append(recognizer.score(recognizer.features([clip]), candidates))
            targets.append(names.index(item.class_name))
            clips.append(item.clip)
    if not scores:
        raise EzavError(f"no clip of '{listing.name}' can be answered", "calibrate on others")
    return Calibration.fit(
        Evaluation(
            scores=torch.cat(scores),
            targets=torch.tensor(targets),
            seen=torch.zeros(len(names), dtype=torch.bool),
            classes=names,
            clips=tuple(clips),
        ),
        gamma=0.0,
    )
