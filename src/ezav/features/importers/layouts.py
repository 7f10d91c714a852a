"""The three published layouts: what their files are called and what made the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ezav.errors import NotFoundError
from ezav.features.importers.class_split import DATASETS

LayoutName = Literal["avca", "tcaf", "clipclap"]

_SELAVI = "SeLaVi"
_C3D = "C3D fc7"
_FRAMES_A_TOKEN = 16
_TEXT_WORD2VEC = ("word2vec", "word_embeddings_{}_normed.npy", 300)
_TEXT_CLIP = ("CLIP ViT-B/32", "word_embeddings_{}_normed.npy", 512)
_TEXT_CLAP = ("CLAP WavCaps", "wavcaps_word_embeddings_{}_normed.npy", 1024)


@dataclass(frozen=True, slots=True)
class Features:
    """One setting of a layout.

    Attributes:
        setting: as stores and reports call it.
        folder: the customary name of the folder under `features/`.
        audio, visual: encoder and dimension.
        hop: seconds a token stands for, audio and visual; None for one vector a clip.

    Example:
        >>> LAYOUTS["tcaf"].features("cls").hops(1, clips=2, fps=[25, 32])
        [0.64, 0.5]
    """

    setting: str
    folder: str
    audio: tuple[str, int]
    visual: tuple[str, int]
    hop: tuple[float, float] | None = None

    def by_frames(self, which: int) -> bool:
        """Whether a token stands for a number of frames (of C3D: 16), not of seconds."""
        return self.hop is not None and which == 1 and self.visual[0] == _C3D

    def hops(self, which: int, clips: int, fps: Sequence[float] | None) -> list[float] | None:
        """Seconds a token of each clip, audio (0) or visual (1); None for one vector a clip.

        Tokens :meth:`by_frames` follow the clip's frames a second, if these are known.
        """
        if self.hop is None:
            return None
        if self.by_frames(which) and fps is not None:
            return [_FRAMES_A_TOKEN / rate for rate in fps]
        return [self.hop[which]] * clips


@dataclass(frozen=True, slots=True)
class Layout:
    """A published layout.

    Attributes:
        name: "avca", "tcaf" or "clipclap".
        suffix: of a class's feature file.
        settings: "main" or "cls" -> its features.
        text: (encoder, file name with {} for the data set, dimension), the first the default.

    Example:
        >>> LAYOUTS["clipclap"].text_column("ucf")
        'clip_class_name'
        >>> LAYOUTS["clipclap"].features("main")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: the clipclap layout has no setting 'main'; give `setting` as cls
    """

    name: LayoutName
    suffix: str
    settings: Mapping[str, Features]
    text: tuple[tuple[str, str, int], ...]

    def features(self, setting: str) -> Features:
        """The features of a setting; raises EzavError if the layout does not have it."""
        if setting not in self.settings:
            raise NotFoundError(
                f"the {self.name} layout has no setting '{setting}'",
                f"give `setting` as {' or '.join(self.settings)}",
            )
        return self.settings[setting]

    def text_files(self, dataset: str) -> list[tuple[str, list[str], int]]:
        """(encoder, possible file names, dimension) of each text file."""
        names = DATASETS[dataset].text
        return [
            (encoder, [pattern.format(name) for name in names], dim)
            for encoder, pattern, dim in self.text
        ]

    def text_column(self, dataset: str) -> str:
        """The column of the name table that the text rows are filed under."""
        own_table = self.name == "clipclap" and dataset == "ucf"
        return "clip_class_name" if own_table else "manual"


LAYOUTS: dict[str, Layout] = {
    "avca": Layout(
        "avca",
        ".h5",
        {
            "main": Features("main", "main_features", (_SELAVI, 512), (_SELAVI, 512)),
            "cls": Features("cls", "cls_features", ("VGGish", 128), (_C3D, 4096)),
        },
        (_TEXT_WORD2VEC,),
    ),
    "tcaf": Layout(
        "tcaf",
        ".pkl",
        {
            "main": Features(
                "main temporal",
                "main_features_non_averaged",
                (_SELAVI, 512),
                (_SELAVI, 512),
                (1.0, 1.0),
            ),
            "cls": Features(
                "cls temporal",
                "cls_features_non_averaged",
                ("VGGish", 128),
                (_C3D, 4096),
                (0.96, 0.64),
            ),
        },
        (_TEXT_WORD2VEC,),
    ),
    "clipclap": Layout(
        "clipclap",
        ".pkl",
        {
            "cls": Features(
                "CLIP/CLAP",
                "cls_features_non_averaged",
                ("WavCaps HTSAT-BERT", 1024),
                ("CLIP ViT-B/32", 512),
            )
        },
        (_TEXT_CLIP, _TEXT_CLAP),
    ),
}


def feature_folder(root: Path, layout: Layout, setting: str, name: str | None = None) -> Path:
    """`root/features/<name>`, by default the customary name.

    Raises:
        EzavError: it is not there; the message lists the folders that are.

    Example:
        >>> feature_folder(Path("nowhere"), LAYOUTS["avca"], "cls")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no features at 'nowhere/features/cls_features'; `root` is ...
    """
    wanted = root / "features" / (name or layout.features(setting).folder)
    if wanted.is_dir():
        return wanted
    parent = wanted.parent
    there = sorted(f.name for f in parent.iterdir() if f.is_dir()) if parent.is_dir() else []
    raise NotFoundError(
        f"no features at '{wanted}'",
        f"choose as `features` one of {', '.join(there)}"
        if there
        else "`root` is the data set's folder, the one that holds 'features'",
    )
