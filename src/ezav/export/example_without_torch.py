"""Rank class names for a clip with ONNX Runtime alone: python example.py [clip.npz]

Needs numpy and onnxruntime. A clip is an .npz file of encoder tokens: audio [1, T, d], audio_mask
[1, T] (False: missing), audio_times [1, T] in seconds, and the same of visual.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    here = Path(__file__).parent
    classes = json.loads((here / "classes.json").read_text(encoding="utf-8"))
    clip = np.load(sys.argv[1] if len(sys.argv) > 1 else here / "clip.npz", allow_pickle=False)
    inputs = {name: clip[name] for name in clip.files}
    inputs["class_embeddings"] = np.load(here / "class_embeddings.npy", allow_pickle=False)
    inputs["seen"] = np.array([one["seen"] for one in classes])

    model = onnxruntime.InferenceSession(here / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = {one.name for one in model.get_inputs()}
    inputs = {name: value for name, value in inputs.items() if name in wanted}
    scores, probabilities = model.run(["scores", "probabilities"], inputs)

    record = json.loads((here / "export.json").read_text(encoding="utf-8"))
    withheld = record["percentages_withheld"]
    for row in np.argsort(-scores[0])[:5]:
        name, kind = classes[row]["name"], classes[row]["kind"]
        percentage = "–" if withheld else f"{probabilities[0, row]:.2%}"
        print(f"{percentage:>7}  {scores[0, row]:+9.4f}  {kind:<6}  {name}")
    if withheld:
        print(f"no percentages: {withheld}")


if __name__ == "__main__":
    main()
