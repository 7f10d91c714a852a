"""Write a run as ONNX and torch.export, with an example that needs no torch.

Batch, number of classes and time are free in the graph. It is compared with torch in ONNX Runtime
on random inputs, and on real ones where clips are given; a difference above 1e-4 is an error.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from ezav.cli.common import (
    Command,
    Importing,
    Signed,
    load_recognizer,
    output,
    progress,
    read_classes,
)
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.export import Exported
    from ezav.features.feature_set import FeatureSet
    from ezav.recognizer import Recognizer


@dataclass(kw_only=True)
class ExportCommand(Command):
    arguments: ClassVar[dict[str, str]] = {"run": "run_folder", "folder": "out"}

    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Export this run folder, saved recogniser, or hub id 'owner/name'."""
    out: Path
    """Write into this folder, a new or an empty one."""
    classes: tuple[str, ...] | None = None
    """Write class embeddings of these candidates; by default of all classes of the run."""
    class_file: Path | None = None
    """Read the class names from a text file with one a line, instead of --classes."""
    clips: tuple[Path, ...] = ()
    """Compare on these video or sound files; the first becomes the example's clip."""
    store: Path | None = None
    """Compare on the test clips of this feature store, instead of --clips."""
    import_code: Importing = False
    require_signature: Signed = None

    def run(self) -> Exported:
        from ezav.export import export

        recognizer = load_recognizer(
            self.run_folder,
            import_code=self.import_code,
            require_signature=self.require_signature,
        )
        classes = read_classes(self.classes, self.class_file)
        with progress.status("exporting (about a minute)"):
            return export(recognizer, self.out, classes, self._real_inputs(recognizer))

    def _real_inputs(self, recognizer: Recognizer) -> FeatureSet | None:
        from ezav.features.store import FeatureStore

        if self.clips and self.store is not None:
            raise EzavError("both --clips and --store are given", "give one of them")
        if self.store is not None:
            return FeatureStore.open(self.store).select("test_seen", "test_unseen")
        if not self.clips:
            return None
        encoded = recognizer.encode(self.clips)
        for one in encoded:
            if one.error:
                raise EzavError(f"'{one.path}' cannot be read: {one.error}", "give other --clips")
        return recognizer.features(encoded)

    def show(self, result: Exported) -> None:
        for one in result.parity:
            output.print(
                f"{one.runtime}: largest difference from torch {one.scores:.1e} in scores, "
                f"{one.probabilities:.1e} in probabilities ({one.inputs} batches)"
            )
        output.print(f"written to {result.folder}: {', '.join(result.files)}")
        example = shlex.quote(f"{result.folder}/example.py")
        output.print(f"\n  python {example}      ranks names with ONNX Runtime alone")


CLI = ExportCommand

__all__ = ["CLI", "ExportCommand"]
