"""From a published layout to a feature store: streaming, checked, and told what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError, NotFoundError
from ezav.features.header import EncoderInfo, Header, SplitOrigin
from ezav.features.importers.blocks import Block, LeftOut, join
from ezav.features.importers.buffers import Buffers
from ezav.features.importers.cached import cached_blocks
from ezav.features.importers.class_split import DATASETS, ClassSplit, read_class_split
from ezav.features.importers.files import file_blocks
from ezav.features.importers.intake import CHUNK_BYTES, Intake, chunks
from ezav.features.importers.layouts import LAYOUTS, Layout, LayoutName, feature_folder
from ezav.features.importers.text import (
    Alignment,
    Misassignment,
    align_text,
    find_text,
    misassignments,
    read_text,
)
from ezav.features.index import INDEX_FILE
from ezav.features.shards import checksums, storable
from ezav.features.store import FeatureStore
from ezav.features.writer import StoreWriter

SIMULATED_MARK = "SIMULATED.txt"
"""In a data set's folder: its features are drawn at random."""


OnProgress = Callable[[str, int], None]
"""Told of every chunk: its split, and the clips so far."""


@dataclass
class ImportReport:
    """What an import did.

    Attributes:
        store: the folder written.
        dataset, setting, text_alignment: as the store's header says.
        source: the folder of feature files (or of cached pickles) read.
        clips, classes: split -> number imported.
        left_out: class outside the setting -> number of clips not imported.
        variants: spelling found -> the class it was taken for.
        misassigned: what the published text order gets wrong, of all classes and by split.
        notes: anything else worth knowing.
        bytes: size of the imported features.
    """

    store: str
    dataset: str
    setting: str
    text_alignment: Alignment
    source: str
    clips: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    variants: dict[str, str] = field(default_factory=dict)
    misassigned: list[Misassignment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def import_features(
    layout: LayoutName,
    root: str | Path,
    store: str | Path,
    *,
    dataset: str,
    setting: str,
    text_alignment: Alignment = "by_name",
    features: str | None = None,
    class_split: str | Path | None = None,
    text: str | Path | None = None,
    cache: str | Path | None = None,
    simulated: bool = False,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Import published features into a feature store.

    The class lists decide which classes belong to which split; clips of other classes are left
    out and counted. Text embeddings are matched by name unless the published order is asked for.
    An import that was stopped goes on when it is called again; what was written before must have
    the same features now.

    Args:
        layout: "avca", "tcaf" or "clipclap".
        root: the data set's folder, with `class-split/` and `features/`.
        store: the folder to write.
        dataset: "ucf", "vggsound" or "activitynet".
        setting: "main" or "cls": which features and class lists.
        text_alignment: "by_name", or "published" to reproduce the released loaders' permutation.
        features: folder under `root/features` (default: the layout's customary name).
        class_split: the folder of class lists (default `root/class-split`).
        text: the folder of text embeddings (default `<features>/text`).
        cache: read the released code's cached pickles in this folder instead of feature files.
        simulated: the files hold simulated features; the store will say so. Those that
            `ezav simulate --as-files` wrote are known by a file beside them.
        progress: called with (split, clips so far).

    Raises:
        EzavError: files missing or damaged, a class without clips, a clip in two splits, a text
            row missing or surplus, features of another setting, a store of other features.
    """
    source = _find(
        layout, Path(root), dataset, setting, text_alignment, features, class_split, text, cache
    )
    simulated = simulated or (Path(root) / SIMULATED_MARK).exists()
    report = ImportReport(
        store=str(store),
        dataset=DATASETS[dataset].name + (" simulated" if simulated else ""),
        setting=source.layout.features(setting).setting,
        text_alignment=text_alignment,
        source=str(source.folder),
        misassigned=misassignments(source.classes),
    )
    intake = Intake(source.classes)
    _transfer(source, intake, Path(store), report, simulated, progress)
    report.clips, report.classes = intake.counts()
    report.left_out, report.variants = dict(intake.left_out), intake.variants
    report.bytes = intake.bytes
    return report


@dataclass(frozen=True)
class _Source:
    """What is imported: files found, names and class embeddings read."""

    layout: Layout
    setting: str
    classes: ClassSplit
    embeddings: Sequence[ClassEmbeddings]
    folder: Path
    cached: bool

    def blocks(self, intake: Intake, buffers: Buffers) -> Iterator[Block | LeftOut]:
        if self.cached:
            return cached_blocks(
                self.folder, self.layout, self.setting, self.classes, intake.wanted
            )
        return file_blocks(self.folder, self.layout, self.setting, intake.wanted, buffers)


def _find(
    layout: LayoutName,
    root: Path,
    dataset: str,
    setting: str,
    alignment: Alignment,
    features: str | None,
    class_split: str | Path | None,
    text: str | Path | None,
    cache: str | Path | None,
) -> _Source:
    plan = LAYOUTS[layout]
    if dataset not in DATASETS:
        raise NotFoundError(f"no data set '{dataset}'", f"use one of {', '.join(DATASETS)}")
    spec = plan.features(setting)
    classes = read_class_split(
        class_split or root / "class-split", dataset, setting, plan.text_column(dataset)
    )
    folder = feature_folder(root, plan, setting, features) if cache is None else Path(cache)
    beside = root / "features" / (features or spec.folder) / "text"
    embeddings = _text_embeddings(plan, dataset, Path(text) if text else beside, classes, alignment)
    return _Source(plan, setting, classes, embeddings, folder, cache is not None)


def _transfer(
    source: _Source,
    intake: Intake,
    store: Path,
    report: ImportReport,
    simulated: bool,
    progress: OnProgress | None,
) -> None:
    buffers = Buffers(2 * CHUNK_BYTES)
    found = chunks(intake.accept(source.blocks(intake, buffers)))
    first = next(found, None)
    if first is None:
        intake.counts()  # raises: a listed class has no clip
        return
    header = _header(report, source, first[0], simulated)
    with closing(StoreWriter(store, header)) as writer:
        with ThreadPoolExecutor(1) as thread:
            written: Future[None] | None = None
            for chunk in chain([first], found):
                if written is not None:
                    written.result()
                # One thread writes and hashes a chunk while the next one is read.
                written = thread.submit(_write, chunk, writer)
                buffers.turn()
                if progress:
                    progress(chunk[-1].split, len(intake.splits))
            intake.counts()  # raises, before the store says that it is whole
            if written is not None:
                written.result()
        origin = SplitOrigin(how="published", detail=f"{source.setting}_split")
        others = _others(writer, intake, source.folder)
        writer.finish(intake.splits, source.embeddings, split_origin=origin, leave_out=others)


def _write(blocks: list[Block], writer: StoreWriter) -> None:
    """What an earlier, stopped import has not written, as one shard; the rest must be the same."""
    clips = [clip for block in blocks for clip in block.clips]
    names = [block.name for block in blocks for _ in block.clips]
    audio = join([block.audio for block in blocks])
    visual = join([block.visual for block in blocks])
    fresh = [row for row, clip in enumerate(clips) if clip not in writer.done]
    if len(fresh) < len(clips):
        audio = storable(audio, writer.header.dim("audio"), "audio", clips)
        visual = storable(visual, writer.header.dim("visual"), "visual", clips)
        for clip, name, checksum in zip(clips, names, checksums(audio, visual)):
            writer.check_unchanged(clip, name, checksum)
        index = torch.tensor(fresh, dtype=torch.long)
        clips, names = [clips[row] for row in fresh], [names[row] for row in fresh]
        audio, visual = audio.subset(index), visual.subset(index)
    if clips:
        writer.add_many(clips, names, audio, visual)


def _others(writer: StoreWriter, intake: Intake, source: Path) -> set[str]:
    """Clips of an import that was given up; those of a finished store may not be lost."""
    others = writer.done - intake.splits.keys()
    if others and (writer.path / INDEX_FILE).is_file():
        shown = set(FeatureStore.open(writer.path).index.column("clip").to_pylist())
        if lost := sorted(others & shown):
            raise EzavError(
                f"the store '{writer.path}' holds clip '{lost[0]}', which '{source}' does not "
                f"have in the setting's classes ({len(lost)} such clips)",
                "import into another folder",
            )
    return set(others)


def _header(report: ImportReport, source: _Source, block: Block, simulated: bool) -> Header:
    dims = block.audio.values.shape[1], block.visual.values.shape[1]
    spec = source.layout.features(source.setting)
    if note := _dimension_note(dims, source.layout, source.setting, report.source):
        report.notes.append(note)
    encoders = (
        EncoderInfo(modality="audio", name=spec.audio[0], dimension=dims[0]),
        EncoderInfo(modality="visual", name=spec.visual[0], dimension=dims[1]),
        *(
            EncoderInfo(modality="text", name=one.encoder, dimension=one.dim)
            for one in source.embeddings
        ),
    )
    return Header(
        dataset=report.dataset,
        setting=report.setting,
        simulated=simulated,
        text_alignment=report.text_alignment,
        encoders=encoders,
    )


def _dimension_note(dims: tuple[int, int], plan: Layout, setting: str, source: str) -> str | None:
    """A note for dimensions nobody published; an error for those of another setting."""
    spec = plan.features(setting)
    expected = spec.audio[1], spec.visual[1]
    if dims == expected:
        return None
    found = f"{dims[0]} audio and {dims[1]} visual dimensions"
    for layout in LAYOUTS.values():
        for name, other in layout.settings.items():
            if dims == (other.audio[1], other.visual[1]):
                raise EzavError(
                    f"the features in '{source}' have {found}: those of {layout.name} {name}, "
                    f"not of {plan.name} {setting}",
                    "choose the other `setting`, `layout` or `features`",
                )
    return f"the features have {found}; published ones have {expected[0]} and {expected[1]}"


def _text_embeddings(
    plan: Layout, dataset: str, folder: Path, classes: ClassSplit, alignment: Alignment
) -> list[ClassEmbeddings]:
    """The default first; ClipClap's is CLIP and CLAP side by side, then each alone."""
    each = [
        align_text(read_text(find_text(folder, files), encoder), classes, alignment)
        for encoder, files, _ in plan.text_files(dataset)
    ]
    return each if len(each) == 1 else [each[0].concatenate(each[1]), *each]
