"""The parity table: our reading of the peers' evaluation beside what their own code printed.

    python perf/parity.py FOLDER

FOLDER holds the reference outputs, `eval_<case>.npz` (inputs) and `eval_<case>.<CODE>.json`. Every
run of every file is evaluated; the table shows the search over beta of each (mode "video", plain
distances: the published convention), ours / theirs in %, and the largest difference of S, U, HM,
ZSL and beta over all runs of the file. Ends with status 1 if one is above 1e-6.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch

from ezav.metrics import peer_distances, peer_evaluation, peer_grid, seen_unseen_curve

TOLERANCE = 1e-6
KEYS = (("S", "seen"), ("U", "unseen"), ("HM", "hm"), ("ZSL", "zsl"), ("beta", "beta"))


def difference(ours: float, theirs: float) -> float:
    if math.isnan(ours) or math.isnan(theirs):
        return 0.0 if math.isnan(ours) and math.isnan(theirs) else math.inf
    return abs(ours - theirs)


def main(folder: Path) -> int:
    print(f"{'case':<11}{'code':<10}{'S':>15}{'U':>15}{'HM':>15}{'ZSL':>15}{'beta':>13}  max diff")
    worst = 0.0
    for path in sorted(folder.glob("eval_*.json")):
        case, code = path.stem.removeprefix("eval_").split(".")
        inputs = np.load(folder / f"eval_{case}.npz")
        ids = np.sort(np.concatenate([inputs["seen_ids"], inputs["unseen_ids"]]))
        targets = torch.from_numpy(np.searchsorted(ids, inputs["targets"]))
        seen = torch.from_numpy(np.isin(ids, inputs["seen_ids"]))
        text, video, audio = (torch.from_numpy(inputs[key]) for key in ("t_p", "v_p", "a_p"))
        modes = {"video": (video,), "audio": (audio,), "both": (audio, video)}
        largest, cells = 0.0, []
        for run in json.loads(path.read_text())["runs"]:
            squared = run["distance_fn"] == "SquaredL2Loss"
            distances = peer_distances(text, *modes[run["mode"]], squared=squared)
            searched = run["best_beta"] is None
            betas = peer_grid(code.lower()) if searched else run["best_beta"]
            ours = peer_evaluation(distances, targets, seen, betas)
            pairs = [(getattr(ours, name), run[key]) for name, key in KEYS]
            largest = max([largest, *(difference(*pair) for pair in pairs)])
            if searched and run["mode"] == "video" and not squared:
                cells = [f"{100 * a:.2f} / {100 * b:.2f}" for a, b in pairs[:4]]
                cells.append(f"{pairs[4][0]:.2f} / {pairs[4][1]:.2f}")
                exact = seen_unseen_curve(-distances, targets, seen)
        widths = (15, 15, 15, 15, 13)
        row = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        print(f"{case:<11}{code:<10}{row}  {largest:.1e}")
        print(f"{'':<21}exact: best HM {100 * exact.best_hm:.2f} at gamma {exact.gamma:.4f}")
        worst = max(worst, largest)
    print(f"largest difference {worst:.1e} (wanted: at most {TOLERANCE:.0e})")
    return 0 if 0 <= worst <= TOLERANCE else 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or not list(Path(sys.argv[1]).glob("eval_*.json")):
        sys.exit("usage: python perf/parity.py FOLDER  (the folder with eval_*.json)")
    sys.exit(main(Path(sys.argv[1])))
