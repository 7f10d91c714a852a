"""Small data sets of random features in the published layouts, as users download them."""

from __future__ import annotations

import pickle
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ezav.features.importers.blocks import Block, Modality, one_token_each, tokens_in_time
from ezav.features.importers.class_split import ClassSplit, read_class_split
from ezav.features.importers.layouts import LAYOUTS, Features, Layout, LayoutName
from ezav.features.importers.writing import arrays_of, write_features, write_text_file
from ezav.features.splits import SPLITS


def write_fixture(
    root: str | Path,
    layout: LayoutName,
    *,
    dataset: str,
    setting: str,
    class_split: str | Path,
    clips: int = 2,
    dims: tuple[int, int] = (6, 10),
    text_dim: int = 8,
    extra: Sequence[str] = (),
    seed: int = 0,
) -> ClassSplit:
    """A whole data set folder as users download it, with few clips and random features.

    Args:
        root: the folder to write: `class-split/` (copied) and `features/<customary name>/`.
        layout: "avca", "tcaf" or "clipclap".
        dataset, setting: as for the import.
        class_split: a published class-split folder; its classes and spellings are used.
        clips: of each class in each split.
        dims: audio and visual dimensions.
        text_dim: dimension of each text embedding file (random rows).
        extra: classes outside the setting that also get a file in `stage_2_test_unseen`.
        seed: of all random numbers.
    """
    root, plan = Path(root), LAYOUTS[layout]
    shutil.copytree(class_split, root / "class-split", copy_function=shutil.copyfile)
    classes = read_class_split(class_split, dataset, setting, plan.text_column(dataset))
    folder = root / "features" / plan.features(setting).folder
    generator = np.random.default_rng(seed)
    blocks = small_blocks(classes, plan, setting, clips, dims, extra, generator)
    write_features(folder, plan, setting, blocks)
    for _, files, _ in plan.text_files(dataset):
        rows = {
            name: generator.normal(size=text_dim).astype(np.float32)
            for name in classes.text_names.values()
        }
        write_text_file(folder / "text" / files[0], rows)
    return classes


def small_blocks(
    classes: ClassSplit,
    layout: Layout,
    setting: str,
    clips: int,
    dims: tuple[int, int],
    extra: Sequence[str],
    generator: np.random.Generator,
) -> Iterator[Block]:
    """Random features of the types and lengths that the layout's real files have."""
    spec = layout.features(setting)
    spelled = {name: spelling for spelling, name in classes.variants.items()}
    for split in SPLITS:
        names = [*classes.splits[split], *(extra if split == "test_unseen" else ())]
        for name in names:
            urls = [f"{name}-{split}-{number}" for number in range(clips)]
            parts = [_random(urls, dims[which], spec, which, generator) for which in (0, 1)]
            yield Block(split, spelled.get(name, name), *parts)


def _random(
    clips: Sequence[str], dim: int, spec: Features, which: int, generator: np.random.Generator
) -> Modality:
    if spec.hop is None:
        values = generator.random((len(clips), dim), dtype=np.float32)
        half = which == 1 and spec.visual[0].startswith("CLIP")
        return one_token_each(clips, values.astype(np.float16) if half else values)
    # Real clips differ in length; every clip has at least one token.
    lengths = generator.integers(1, 6, size=len(clips))
    arrays: list[np.ndarray] = [generator.random((n, dim), dtype=np.float32) for n in lengths]
    if spec.audio[0] == "VGGish" and which == 0:
        arrays = [(array * 255).astype(np.uint8) for array in arrays]
    fps = [25] * len(clips)
    return tokens_in_time(clips, arrays, spec.hops(which, len(clips), fps), "random features")


def write_cache(
    folder: Path,
    layout: Layout,
    setting: str,
    blocks: Iterable[Block],
    label_ids: Sequence[str],
) -> None:
    """The pickles that the released codes cache: `{training,val,train_val,test}<split>.pkl`.

    Averaged features are torch tensors, as AVCA caches them; temporal ones lists of arrays with
    names spelled `b'name'`, as TCaF does.
    """
    spec = layout.features(setting)
    parts: dict[str, list[Block]] = defaultdict(list)
    label = {name: row for row, name in enumerate(label_ids)}
    for block in blocks:
        part = {"train": "training", "val": "val", "test": "test"}[block.split.split("_")[0]]
        parts[part].append(block)
    parts["train_val"] = parts["training"] + parts["val"]
    folder.mkdir(parents=True, exist_ok=True)
    for part, members in parts.items():
        target = torch.tensor([label[b.name] for b in members for _ in b.clips], dtype=torch.long)
        content = {}
        for kind in ("audio", "visual"):
            chosen: list[Modality] = [getattr(block, kind) for block in members]
            urls = [clip for one in chosen for clip in one.clips]
            entry: dict[str, object] = {"target": target}
            if layout.suffix == ".h5":
                entry["data"] = torch.from_numpy(np.concatenate([one.values for one in chosen]))
                entry["url"] = np.array(urls)
            else:
                entry["data"] = [array for one in chosen for array in arrays_of(one, spec, kind)]
                entry["url"] = np.array([f"b'{url}'" for url in urls])
                entry["fps"] = [25] * len(urls)
            content["video" if kind == "visual" else kind] = entry
        with (folder / f"{part}{setting}_split.pkl").open("wb") as file:
            pickle.dump(content, file)
