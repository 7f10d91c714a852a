"""Results as JSON: what a library returns, as any JSON reader understands it."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from ezav.cli.as_json import as_json, json_text


class Colour(Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    folder: Path
    gamma: float


@dataclass(frozen=True)
class Outer:
    model: Model
    colour: Colour
    parts: tuple[Model, ...]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.float64("nan"), None),
        (np.array([1.0, np.inf]), [1.0, None]),
        (np.bool_(True), True),
        (torch.tensor(2), 2),
        (torch.tensor([[1.0], [float("nan")]]), [[1.0], [None]]),
        (float("-inf"), None),
        (True, True),
        (Colour.RED, "red"),
        ({Path("a"): {3, 1}}, {"a": [1, 3]}),
        ({0.1: 1, None: 2}, {"0.1": 1, "null": 2}),
        (date(2026, 11, 30), "2026-11-30"),
        (namedtuple("Where", "store seed")(Path("s"), 1), {"store": "s", "seed": 1}),
    ],
)
def test_values(value, wanted):
    assert as_json(value) == wanted
    json.dumps(as_json(value), allow_nan=False)


def test_models_inside_dataclasses():
    model = Model(folder=Path("a/b"), gamma=float("inf"))
    plain = {"folder": "a/b", "gamma": None}
    wanted = {"model": plain, "colour": "red", "parts": [plain], "status": 0}
    assert json.loads(json_text(Outer(model, Colour.RED, (model,)), 0)) == wanted


def test_what_has_no_form_is_refused_rather_than_printed_as_its_address():
    with pytest.raises(TypeError, match="no form in JSON"):
        as_json({"model": object()})
    with pytest.raises(TypeError, match="has fields"):
        json_text([1], 0)
