"""Import published audio-visual features into a feature store.

ROOT is the folder of one data set as its authors publish it: `class-split/` and `features/`.
`avca` reads averaged features (.h5), `tcaf` temporal ones (.pkl), `clipclap` CLIP and CLAP
vectors (.pkl). The class lists (.txt) decide what comes in; clips of other classes are left out
and counted. Class embeddings are matched by name; `--text-alignment published` reproduces the
permuted rows of the released loaders, for comparison with their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from ezav.cli.common import Command, output, progress

if TYPE_CHECKING:
    from ezav.features.importers.importer import ImportReport


@dataclass(kw_only=True)
class _Import(Command):
    root: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")]
    """Read the data set's folder, with `class-split/` and `features/`."""
    dataset: Literal["ucf", "vggsound", "activitynet"]
    """Say of which benchmark these features are."""
    setting: Literal["main", "cls"] = "cls"
    """Read these features and class lists."""
    out: Path
    """Write the feature store into this folder."""
    text_alignment: Literal["by_name", "published"] = "by_name"
    """Match class embeddings by name, or in the permuted order of the released loaders."""
    features: str | None = None
    """Read features from this folder under ROOT/features; by default the layout's customary
    name."""
    class_split: Path | None = None
    """Read class lists from this folder; by default ROOT/class-split."""
    text: Path | None = None
    """Read text embeddings from this folder; by default the folder `text` of the features."""
    cache: Path | None = None
    """Read the released code's cached pickles in this folder instead of feature files."""
    simulated: bool = False
    """Say in the store and in every table that the files hold simulated features."""

    layout: ClassVar[Literal["avca", "tcaf", "clipclap"]]

    def run(self) -> ImportReport:
        from ezav.features.importers import import_features

        with progress.status("reading") as status:
            return import_features(
                self.layout,
                self.root,
                self.out,
                dataset=self.dataset,
                setting=self.setting,
                text_alignment=self.text_alignment,
                features=self.features,
                class_split=self.class_split,
                text=self.text,
                cache=self.cache,
                simulated=self.simulated,
                progress=lambda split, clips: status.update(f"{split}: {clips:,} clips"),
            )

    def show(self, result: ImportReport) -> None:
        from rich.table import Table

        output.print(
            f"{result.dataset} ({result.setting}) from {result.source}\n"
            f"  -> {result.store}, text embeddings "
            + ("by name" if result.text_alignment == "by_name" else "in the PUBLISHED order")
        )
        table = Table("split", "classes", "clips", "wrong text in published order")
        wrong = {row.split: f"{row.wrong} of {row.classes}" for row in result.misassigned}
        for split, clips in result.clips.items():
            table.add_row(split, f"{result.classes[split]}", f"{clips:,}", wrong[split])
        table.add_row("all of the data set", "", f"{sum(result.clips.values()):,}", wrong["all"])
        output.print(table)
        for name, clips in sorted(result.left_out.items()):
            output.print(f"left out: {clips:,} clips of '{name}', a class outside the setting")
        for spelling, name in sorted(result.variants.items()):
            output.print(f"spelling: '{spelling}' is taken for '{name}'")
        for note in result.notes:
            output.print(f"note: {note}")


@dataclass(kw_only=True)
class Avca(_Import):
    """Averaged features in HDF5 files, or the pickles AVCA caches."""

    layout: ClassVar[Literal["avca", "tcaf", "clipclap"]] = "avca"


@dataclass(kw_only=True)
class Tcaf(_Import):
    """Temporal features in pickles."""

    layout: ClassVar[Literal["avca", "tcaf", "clipclap"]] = "tcaf"


@dataclass(kw_only=True)
class Clipclap(_Import):
    """CLIP and CLAP vectors in pickles, with CLIP and CLAP text."""

    layout: ClassVar[Literal["avca", "tcaf", "clipclap"]] = "clipclap"


CLI = (
    Annotated[Avca, tyro.conf.subcommand("avca")]
    | Annotated[Tcaf, tyro.conf.subcommand("tcaf")]
    | Annotated[Clipclap, tyro.conf.subcommand("clipclap")]
)
