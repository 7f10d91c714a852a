"""Simulated benchmarks of the real size: the whole pipeline without the real features.

Features are drawn from a class structure that is real (any text embedding file, the official
class lists): what a class looks and sounds like is a noisy nonlinear function of its text vector.
So transfer to unseen classes is possible and not perfect. The numbers mean nothing beyond that,
and everything that holds them says "simulated".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ezav.benchmarks.simulated_classes import count_clips, draw_classes, draw_text
from ezav.benchmarks.simulated_features import FeatureModel, generator
from ezav.classes.embeddings import ClassEmbeddings
from ezav.errors import EzavError, NotFoundError, RefusedError
from ezav.features.begin import HEADER_FILE, holds_clips
from ezav.features.header import EncoderInfo, Header, SplitOrigin, parse_header
from ezav.features.importers.blocks import Block, join
from ezav.features.importers.class_split import DATASETS, ClassSplit, read_class_split
from ezav.features.importers.intake import chunks
from ezav.features.importers.layouts import LAYOUTS, Features, Layout
from ezav.features.importers.text import align_text
from ezav.features.index import class_checksum
from ezav.features.splits import SPLITS
from ezav.features.writer import StoreWriter

_SETTINGS = {
    "main": ("avca", "main"),
    "cls": ("avca", "cls"),
    "temporal": ("tcaf", "cls"),
    "clipclap": ("clipclap", "cls"),
}
"""Setting of a suite -> the published layout and setting it stands for."""

SUITES = tuple(f"{dataset}-{setting}" for dataset in DATASETS for setting in _SETTINGS)
"""What can be simulated."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that is needed to draw a benchmark; nothing is drawn yet.

    Attributes:
        suite: one of `SUITES`.
        layout, setting: the published layout and setting it stands for.
        classes: names and class lists.
        text: class embeddings, the default first; features follow it (CLIP/CLAP: each its own).
        clips: (split, class) -> number of clips.
        seed: of everything that is drawn.
    """

    suite: str
    layout: Layout
    setting: str
    classes: ClassSplit
    text: tuple[ClassEmbeddings, ...]
    clips: dict[tuple[str, str], int]
    seed: int

    @property
    def features(self) -> Features:
        """Encoders and dimensions of the setting."""
        return self.layout.features(self.setting)

    @property
    def dataset(self) -> str:
        """The name of the data set, with the word "simulated"."""
        return DATASETS[self.suite.split("-")[0]].name + " simulated"

    def clips_by_split(self) -> dict[str, int]:
        """Split -> number of clips."""
        counts = dict.fromkeys(SPLITS, 0)
        for (split, _), count in self.clips.items():
            counts[split] += count
        return counts

    @property
    def identity(self) -> str:
        """Whatever the features depend on besides the suite, as one line of text."""
        lists = json.dumps([(*place, count) for place, count in self.clips.items()])
        text = "".join(map(class_checksum, self.text))
        return (
            f"seed={self.seed},clips={sum(self.clips.values())},"
            f"lists={_short_hash(lists)},text={_short_hash(text)}"
        )

    def blocks(self) -> Iterator[Block]:
        """The clips of one class in one split after the other; the same whenever it is called."""
        model = FeatureModel(self.features, self.text, self.seed)
        for split in SPLITS:
            for name in self.classes.splits[split]:
                count = self.clips[split, name]
                clips = [f"simulated-{name}-{split}-{number:04d}" for number in range(count)]
                yield Block(split, name, *model.draw(split, name, clips))


def plan_simulation(
    suite: str,
    *,
    text: Sequence[str | Path] = (),
    class_split: str | Path | None = None,
    scale: float = 1.0,
    seed: int = 0,
) -> Simulation:
    """Settle classes, clip counts and class embeddings of a simulated benchmark.

    Args:
        suite: `{ucf,vggsound,activitynet}-{main,cls,temporal,clipclap}`.
        text: text embedding files of the data set's classes; two files (CLIP, CLAP) are also
            joined. Without any, class vectors are drawn, in groups of similar classes.
        class_split: an official class-split folder: its lists and its counts of clips for each
            class are used. None: class lists of the official sizes are drawn, from the names in
            the text file or from generated names.
        scale: share of the official number of clips (at least one for each class and split).
        seed: of everything that is drawn.

    Raises:
        NotFoundError: an unknown suite.
        EzavError: files that do not fit each other, too few names.

    Example:
        >>> plan = plan_simulation("ucf-cls", scale=0.01)
        >>> len(plan.classes.used), plan.dataset, plan.text[0].dim
        (48, 'UCF simulated', 300)
    """
    if suite not in SUITES:
        raise NotFoundError(f"no suite '{suite}' to simulate", f"there are {', '.join(SUITES)}")
    if not 0 < scale <= 1:
        raise EzavError(f"`scale={scale}` does not lie in (0, 1]")
    dataset, _, kind = suite.partition("-")
    layout_name, setting = _SETTINGS[kind]
    layout = LAYOUTS[layout_name]
    files = _load_text(text, layout)
    if class_split is not None:
        column = layout.text_column(dataset)
        classes = read_class_split(class_split, dataset, setting, column)
        given = [align_text(one, classes) for one in files]
    else:
        classes = draw_classes(dataset, setting, files, seed)
        given = [one.select(classes.used) for one in files]
    given = given or [draw_text(encoder, dim, classes, seed) for encoder, _, dim in layout.text]
    if len(given) == 2:
        given.insert(0, given[0].concatenate(given[1]))
    counts = count_clips(dataset, setting, classes, class_split)
    counts = {place: max(1, round(count * scale)) for place, count in counts.items()}
    return Simulation(suite, layout, setting, classes, tuple(given), counts, seed)


def write_store(plan: Simulation, path: str | Path) -> dict[str, int]:
    """Draw the features into a feature store; memory stays at some hundred megabytes.

    A store that a stopped simulation left is gone on with; the header's encoders have the
    `identity` of the simulation as their options.

    Returns:
        split -> number of clips.

    Raises:
        RefusedError: the folder holds another simulation.
        EzavError: it holds something else, or the disk is full.
    """
    spec, identity = plan.features, plan.identity
    dims = FeatureModel(spec, plan.text, plan.seed).dims
    sound, picture = f"simulated {spec.audio[0]}", f"simulated {spec.visual[0]}"
    encoders = (
        EncoderInfo(modality="audio", name=sound, dimension=dims[0], options=identity),
        EncoderInfo(modality="visual", name=picture, dimension=dims[1], options=identity),
        *(EncoderInfo(modality="text", name=one.encoder, dimension=one.dim) for one in plan.text),
    )
    header = Header(dataset=plan.dataset, setting=spec.setting, simulated=True, encoders=encoders)
    _check_continues(Path(path), header)
    splits: dict[str, str] = {}
    with StoreWriter(path, header) as writer:
        for chunk in chunks(plan.blocks()):
            clips = [clip for block in chunk for clip in block.clips]
            splits.update((clip, block.split) for block in chunk for clip in block.clips)
            if not set(clips) <= writer.done:
                names = [block.name for block in chunk for _ in block.clips]
                audio = join([block.audio for block in chunk])
                visual = join([block.visual for block in chunk])
                writer.add_many(clips, names, audio, visual)
        origin = SplitOrigin(how="drawn", seed=plan.seed, detail=f"simulated {plan.suite}")
        writer.finish(splits, plan.text, split_origin=origin)
    return plan.clips_by_split()


def _check_continues(path: Path, now: Header) -> None:
    """Refuse to go on with another simulation: its features would be taken for this one's."""
    header = path / HEADER_FILE
    if not (header.is_file() and holds_clips(path)):
        return
    before = parse_header(header.read_bytes(), header)
    if not before.simulated or (before.dataset, before.setting) != (now.dataset, now.setting):
        return  # the writer says what is wrong
    there, here = before.encoders[0].options, now.encoders[0].options
    if not there:
        raise RefusedError(
            f"the store '{path}' does not say with which seed, scale, text and class lists it was "
            "simulated: an earlier ezav wrote it",
            "simulate into another folder, or remove this one first",
        )
    if there != here:
        raise RefusedError(
            f"the store '{path}' holds another simulation: {there} there, {here} now",
            "use the same seed, scale, text and class lists, or another folder",
        )


def write_files(plan: Simulation, root: str | Path) -> Path:
    """Draw the features into files of the published layout, to try the importers at real size.

    Writes `root/class-split` and `root/features/<customary name>`, and a file by which the
    importer knows them. Text rows are written for every class of the data set, as published.

    Returns:
        the folder of features.

    Raises:
        RefusedError: the folder exists already.
    """
    from ezav.features.importers import writing
    from ezav.features.importers.importer import SIMULATED_MARK

    root = Path(root)
    if root.exists():
        raise RefusedError(f"'{root}' exists already", "give the name of a new folder")
    dataset = plan.suite.split("-")[0]
    column = plan.layout.text_column(dataset)
    root.mkdir(parents=True)
    (root / SIMULATED_MARK).write_text(
        "These features are drawn at random; nothing made of them says how good a method is.\n"
    )
    writing.write_class_lists(root / "class-split", plan.classes, dataset, plan.setting, column)
    folder = root / "features" / plan.features.folder
    writing.write_features(folder, plan.layout, plan.setting, plan.blocks())
    alone = plan.text[1:] if len(plan.text) == 3 else plan.text
    for one, (_, files, _) in zip(alone, plan.layout.text_files(dataset), strict=True):
        known = dict(zip(one.names, one.vectors.numpy()))
        rows = {
            # Classes of no split have no vector here; published files have a row for them.
            text: known[name] if name in known else _other_vector(text, one.dim, plan.seed)
            for name, text in plan.classes.text_names.items()
        }
        writing.write_text_file(folder / "text" / files[0], rows)
    return folder


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _other_vector(name: str, dim: int, seed: int) -> np.ndarray:
    vector = generator(seed, "other text", name).standard_normal(dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _load_text(paths: Sequence[str | Path], layout: Layout) -> list[ClassEmbeddings]:
    """The files, under the layout's encoder names where number and dimensions fit."""
    if len(paths) > len(layout.text):
        raise EzavError(
            f"{len(paths)} text files for the {layout.name} layout, which has {len(layout.text)}"
        )
    loaded = [ClassEmbeddings.load(path) for path in paths]
    if [one.dim for one in loaded] != [dim for _, _, dim in layout.text]:
        return loaded
    return [
        ClassEmbeddings(one.names, one.vectors, encoder, {**one.settings, "file": Path(path).name})
        for one, path, (encoder, _, _) in zip(loaded, paths, layout.text)
    ]
