"""The statistics tell real pictures and sounds apart (the 200 small clips, a part of them)."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ezav.encoders.registry import load_audio, load_visual
from ezav.media import read_clip
from tests.shared_data import shared

EACH = 8


@pytest.mark.filterwarnings("ignore:.*lbfgs.*")
def test_classes_of_real_clips_are_linearly_decodable() -> None:
    folder = shared("data", "real")
    rows: dict[str, list[str]] = {}
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["class"], []).append(row["path"])
    visual, audio = load_visual("statistics"), load_audio("statistics")
    features: dict[str, list[np.ndarray]] = {"visual": [], "audio": []}
    labels = []
    for name, paths in rows.items():
        for path in paths[:EACH]:
            clip = read_clip(
                folder / path,
                video=visual.card.needs.frame_spec,
                audio=audio.card.needs.sample_rate,
            )
            assert clip.frames is not None
            assert clip.waveform is not None
            features["visual"].append(visual.encode([clip.frames])[0].values.mean(axis=0))
            features["audio"].append(audio.encode([clip.waveform])[0].values.mean(axis=0))
            labels.append(name)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    accuracy = {
        kind: cross_val_score(model, np.stack(rows), labels, cv=folds).mean()
        for kind, rows in features.items()
    }
    # Six clips a class to learn from, ten classes: chance is 0.1.
    assert accuracy["audio"] > 0.6, accuracy
    assert accuracy["visual"] > 0.45, accuracy
