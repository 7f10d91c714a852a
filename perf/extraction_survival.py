"""What extraction survives: `kill -9` a hundred times, and the death of a machine of a cluster.

    python perf/extraction_survival.py kills    a hundred kills at random moments
    python perf/extraction_survival.py ray      a Ray cluster of two machines, one killed on the way

Each ends with an error unless the store equals one that was made undisturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # workers import the tests' encoders

from ezav.extraction import EncoderSpec, extract


def on_ray(clips: int) -> None:
    """Extract on a local Ray cluster of two machines and kill one; the store must be the same."""
    import ray
    from ray.cluster_utils import Cluster
    from tests.extraction.encoders import AUDIO, TEXT, VISUAL
    from tests.media.files import write_clip as write_small

    from ezav.extraction import Progress

    begun = time.monotonic()

    def log(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    how = {"visual": EncoderSpec(VISUAL, {"pause": 0.2}), "audio": AUDIO, "text": TEXT}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number in range(clips):
            path = root / "videos" / f"class {number % 5}" / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_small(path, frames=4, tone=200.0 + 10 * number, rate=8_000)
        here = extract(root / "videos", root / "here", workers=2, **how)  # type: ignore[arg-type]
        log(f"local: {here.added} clips, fingerprint {here.fingerprint}")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        log(
            f"Ray {ray.__version__}: {sum(node['Alive'] for node in ray.nodes())} machines of 1 CPU"
        )

        def watch(state: Progress) -> None:
            if state.done == 1:
                cluster.remove_node(second, allow_graceful=False)
                log("the first clip has come; the second machine is killed")
            if state.done % 10 == 0:
                alive = sum(node["Alive"] for node in ray.nodes())
                log(f"{state.done} of {state.total} clips; {alive} machines alive")

        there = extract(
            root / "videos",
            root / "there",
            engine="ray",
            ray_address=cluster.address,
            on_progress=watch,
            **how,  # type: ignore[arg-type]
        )
        log(f"Ray: {there.added} clips, fingerprint {there.fingerprint}")
        ray.shutdown()
        cluster.shutdown()
    assert there.fingerprint == here.fingerprint, "the stores differ"
    log("the stores are equal")


def kills(count: int, seed: int) -> None:
    """Kill -9 an extraction again and again; the store must equal an undisturbed one."""
    from tests.extraction.encoders import AUDIO, SLOW, TEXT
    from tests.media.files import write_clip as write_small

    from ezav.features import FeatureStore
    from ezav.features.verify import verify_store

    how = {"visual": SLOW, "audio": AUDIO, "text": TEXT, "workers": 2}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for number in range(5):
            (root / "videos" / f"class {number}").mkdir(parents=True)
            for take in range(40):
                path = root / "videos" / f"class {number}" / f"{take}.mp4"
                write_small(path, frames=4, tone=200.0 + 100 * number, rate=8_000)
        quiet = extract(root / "videos", root / "quiet", **how)  # type: ignore[arg-type]
        rng = random.Random(seed)
        done = restarts = 0
        while done < count:
            child = os.fork()
            if child == 0:
                try:
                    extract(root / "videos", root / "killed", **how)  # type: ignore[arg-type]
                finally:
                    os._exit(0)
            time.sleep(rng.uniform(0.05, 1.2))
            finished, _ = os.waitpid(child, os.WNOHANG)
            if finished:  # begin anew: there must be something left to lose
                check = FeatureStore.open(root / "killed").fingerprint
                assert check == quiet.fingerprint, "a killed store differs"
                shutil.rmtree(root / "killed")
                restarts += 1
                continue
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            done += 1
            print(f"\r{done} kills, {restarts} stores finished between", end="", file=sys.stderr)
        report = extract(root / "videos", root / "killed", **how)  # type: ignore[arg-type]
        assert report.fingerprint == quiet.fingerprint, "the killed store differs"
        assert verify_store(root / "killed").sound
    print(
        f"\n{done} kills while 200 clips were extracted; {restarts + 1} stores, "
        "each equal to the undisturbed one"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    killing = verbs.add_parser("kills")
    killing.add_argument("--count", type=int, default=100)
    killing.add_argument("--seed", type=int, default=0)
    cluster = verbs.add_parser("ray")
    cluster.add_argument("--clips", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.verb == "ray":
        on_ray(arguments.clips)
    else:
        kills(arguments.count, arguments.seed)


if __name__ == "__main__":
    main()
