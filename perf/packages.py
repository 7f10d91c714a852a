"""What ezav and each of its extras add to an environment: packages, megabytes, seconds of import.

    python perf/packages.py [--largest 8]

Walks the requirements of the ezav that is installed here, as its metadata states them, and counts
the files of every package that they reach, compiled ones of Python too where there are any. An
extra is counted beyond the base; what two extras share counts for each. Import is processor time of
a fresh interpreter that imports the extra's own packages, less that of one that imports nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

MODULES = {
    "": ["torch", "numba", "pyarrow", "transformers", "sklearn", "matplotlib", "av", "scipy"],
    "import": ["h5py"],
    "tune": ["optuna"],
    "word2vec": ["gensim.models"],
    "cluster": ["ray", "ray.data"],
    "web": ["starlette.applications", "uvicorn"],
    "export": ["onnx", "onnxruntime", "onnxscript"],
    "sign": ["cryptography.hazmat.primitives.asymmetric.ed25519"],
    "find": ["usearch.index"],
}
"""Extra -> what it brings; "" is the base."""


def plain(name: str) -> str:
    """A package's name as indexes compare it.

    Example:
        >>> plain("Huggingface_Hub")
        'huggingface-hub'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str, extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """Every installed package that one needs with these extras, itself among them, by its name."""
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (plain(name), extra) in done:
            continue
        done.add((plain(name), extra))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # of another system or Python, or not installed
        found[plain(name)] = package
        for line in package.requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(wanted.name, one) for one in ("", *wanted.extras)]
    return found


def size(package: Distribution) -> int:
    """Bytes of its files on this disk."""
    paths = (str(package.locate_file(file)) for file in package.files or ())
    return sum(os.stat(path).st_size for path in paths if os.path.isfile(path))


def import_seconds(modules: Iterable[str], times: int = 3) -> float:
    """Processor seconds of a fresh interpreter, the median of some."""
    command = [sys.executable, "-c", "".join(f"import {one}\n" for one in modules)]
    found = []
    for _ in range(times):
        _, status, used = os.wait4(os.spawnv(os.P_NOWAIT, command[0], command), 0)
        if status:
            return float("nan")
        found.append(used.ru_utime + used.ru_stime)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--largest", type=int, default=8, help="packages named of each row")
    given = parser.parse_args()
    base, nothing = needed("ezav"), import_seconds(())
    base.pop("ezav", None)
    print("| | packages | MB | import, s | largest, MB |\n|---|--:|--:|--:|---|")
    for extra, modules in MODULES.items():
        own = base if not extra else needed("ezav", [extra])
        sizes = {
            name: size(package)
            for name, package in own.items()
            if not extra or (name not in base and name != "ezav")
        }
        order = sorted(sizes, key=lambda name: -sizes[name])[: given.largest]
        largest = ", ".join(f"{name} {sizes[name] / 1e6:.0f}" for name in order)
        took = import_seconds(modules) - nothing
        print(
            f"| {extra or 'base'} | {len(sizes)} | {sum(sizes.values()) / 1e6:.0f} | {took:.1f} "
            f"| {largest} |",
            flush=True,
        )

    least = needed("torch") | needed("numpy")
    floor = sum(map(size, least.values())) / 1e6
    print(f"\ntorch and numpy with what they require: {floor:.0f} MB")


if __name__ == "__main__":
    main()
