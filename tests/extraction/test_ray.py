"""Extraction on a Ray cluster gives the same store, also when one of its two machines dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ezav.errors import EzavError
from ezav.extraction import EncoderSpec, Progress, RayPool, extract
from ezav.features import FeatureStore
from tests.extraction.encoders import AUDIO, LIGHT, VISUAL
from tests.waiting import wait_until

ray = pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines with one CPU each, on this one."""
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    both.add_node(num_cpus=1)
    ray.init(address=both.address, log_to_driver=False, logging_level="ERROR")
    yield both
    ray.shutdown()
    both.shutdown()


def test_the_same_store_though_a_machine_dies(cluster: Any, videos: Path, tmp_path: Path) -> None:
    how = {**LIGHT, "visual": EncoderSpec(VISUAL, {"pause": 0.15})}
    here = extract(videos, tmp_path / "here", workers=1, **how)
    (second,) = cluster.worker_nodes
    killed: list[int] = []

    def kill_a_machine(state: Progress) -> None:
        if state.done == 1:
            cluster.remove_node(second, allow_graceful=False)
            killed.append(state.done)

    there = extract(
        videos,
        tmp_path / "there",
        engine="ray",
        ray_address=cluster.address,
        on_progress=kill_a_machine,
        **how,
    )
    assert killed == [1]
    # The cluster notices a death by missed heartbeats.
    wait_until(lambda: sum(node["Alive"] for node in ray.nodes()) == 1, "the death of a machine")
    assert (there.added, there.fingerprint) == (30, here.fingerprint)
    index = FeatureStore.open(tmp_path / "there").index
    assert index.column("clip").to_pylist() == sorted(set(index.column("clip").to_pylist()))


def test_a_cluster_of_the_caller_is_left_running(cluster: Any) -> None:
    RayPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO)).close()
    assert ray.is_initialized()


def test_too_small_a_cluster_is_one_line(cluster: Any) -> None:
    with pytest.raises(EzavError, match=r"an actor needs 64 and 0; ask for less"):
        RayPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO), workers=64, address=cluster.address)
    with pytest.raises(EzavError, match=r"0 GPUs, an actor needs 1 and 1"):
        RayPool(EncoderSpec(VISUAL), EncoderSpec(AUDIO), gpus=1, address=cluster.address)
