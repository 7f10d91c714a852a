"""Is a run or a feature store whole and unchanged? Every byte of it is read and compared.

A run is compared with its manifest (the SHA-256 of each file, written with it) and its metrics
with its scores, a store with the digests in its index. This tells what changed by accident, or
by someone who did not care to hide it; who made it tells a signature (`ezav sign`), which
`--require-signature` asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from ezav.cli.common import Command, Signed, bar, output
from ezav.errors import NotFoundError, RefusedError


@dataclass(frozen=True)
class Verified:
    """What was compared, in words, and what is wrong."""

    path: Path
    kind: str
    compared: str
    problems: tuple[str, ...]

    @property
    def status(self) -> int:
        """1 where anything is wrong."""
        return 1 if self.problems else 0


@dataclass(kw_only=True)
class CLI(Command):
    """Read every byte of a run or a feature store and compare it with its digests."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|STORE")]
    """Verify this run, saved recogniser, or feature store."""
    require_signature: Signed = None

    def run(self) -> Verified:
        from ezav.recognizer.find import find
        from ezav.recognizer.packed import is_packed

        folder = find(self.path) if is_packed(self.path) else self.path
        found = replace(_compared(folder), path=self.path)
        if self.require_signature is None:
            return found
        from ezav.signing import require_signature

        try:
            key = require_signature(folder, self.require_signature)
        except RefusedError as error:
            return replace(found, problems=(*found.problems, error.message))
        return replace(found, compared=f"{found.compared}, all signed with {key}")

    def show(self, result: Verified) -> None:
        for problem in result.problems:
            output.print(f"wrong: {problem}", markup=False)
        verdict = f"{len(result.problems)} problems" if result.problems else "sound"
        output.print(f"{result.path}: {result.compared}: {verdict}", markup=False)


def _compared(path: Path) -> Verified:
    from ezav.features.index import INDEX_FILE
    from ezav.features.verify import verify_store
    from ezav.manifest import differences, read_manifest
    from ezav.protocol.files import RESULT
    from ezav.protocol.verify import verify_run
    from ezav.recognizer.find import is_recognizer

    if (path / RESULT).is_file():
        run = verify_run(path)
        files = "no manifest, it is of an earlier version" if run.files is None else "its files"
        scores = ", its metrics from its scores" if run.scores else ", no scores are there"
        return Verified(path, "run", files + scores, run.problems)
    if is_recognizer(path):
        problems = tuple(differences(path, read_manifest(path) or {}))
        return Verified(path, "recogniser", "its files", problems)
    if (path / INDEX_FILE).is_file():
        with bar("shards") as on_progress:
            store = verify_store(path, on_progress)
        told = f"{store.clips} clips in {store.shards} shards"
        return Verified(path, "store", told, store.problems)
    raise NotFoundError(
        f"there is neither a run nor a feature store at '{path}'", "name its folder"
    )
