"""Training schedules of EZ-AVGZL on a store: time and validation HM, paired by seed.

    python perf/schedules.py STORE [--seeds 5] [--stage-1]

The recipe of the store and the default recipe's 20 passes against a long schedule: the two stages
and the test, or stage 1 alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from ezav.features.store import FeatureStore
from ezav.recipes import protocol_for
from ezav.training import TrainingConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", help="a feature store")
    parser.add_argument("--stage-1", action="store_true", help="validation alone")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store = FeatureStore.open(options.store)
    run = protocol_for("ez_avgzl", store)
    own = run.training
    long = "15 x 300 batches of 64"
    schedules = {
        long: TrainingConfig(
            epochs=15, batches_per_epoch=300, batch_size=64, learning_rate=1e-4, patience=None
        ),
        "recipe of the store": own,
        "20 passes (default)": replace(own, epochs=20, batches_per_epoch=None),
    }
    found: dict[str, list[float]] = {name: [] for name in schedules}
    for seed in range(options.seeds):
        for name, training in schedules.items():
            protocol = replace(run, training=training, seed=seed)
            started, cpu = time.perf_counter(), time.process_time()
            if options.stage_1:
                found[name].append(protocol.validate(store).HM)
            else:
                fitted = protocol.fit(store)
                fitted.test()
                found[name].append(max(epoch.HM for epoch in fitted.history_))
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            what = "stage 1" if options.stage_1 else "two stages and test"
            print(f"seed {seed}, {name:<22} {what}: {wall:6.1f} s, CPU {cpu:6.1f} s; ", end="")
            print(f"validation HM {found[name][-1]:.1%}", flush=True)
    for name, values in found.items():
        ahead = [100 * (one - other) for one, other in zip(values, found[long])]
        print(f"{name:<22} validation HM {statistics.mean(values):.1%}", end="")
        if len(values) > 1:
            error = statistics.stdev(ahead) / len(ahead) ** 0.5
            print(f" ± {statistics.stdev(values):.1%} (sd); against the long schedule ", end="")
            print(f"{statistics.mean(ahead):+.1f} ± {error:.1f} points (standard error)", end="")
        print()


if __name__ == "__main__":
    main()
