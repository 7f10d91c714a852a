"""Frames to a network's input, as its checkpoint prescribes, on any device.

The prescription is the checkpoint's own `preprocessor_config.json` (or `video_preprocessor_…`,
or the newer `processor_config.json`). It is applied here with torch alone: the library's fast
processors need a package that is not required otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.loading import Source, read_json
from ezav.errors import DamagedError, EzavError

if TYPE_CHECKING:
    from torch import Tensor

_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers
_NESTED = ("image_processor", "video_processor")  # inside processor_config.json
_NAMED = ("image_processor_type", "video_processor_type", "feature_extractor_type")
_STEPS = {
    "do_resize": ("size", "resample"),
    "do_center_crop": ("crop_size",),
    "do_rescale": ("rescale_factor",),
    "do_normalize": ("image_mean", "image_std"),
}
"""Whether a step is taken -> what it needs."""
_UNNAMED = {"do_resize": True, "do_rescale": True, "do_normalize": True}
"""Defaults where a file names no processor class."""
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_ALL = {"do_resize": True, "do_rescale": True, "do_normalize": True, "default_to_square": True}
WITHOUT_A_CLASS: dict[str, dict[str, Any]] = {
    "DINOv3ViT": {"size": {"height": 224, "width": 224}, "resample": 2, **_ALL, **_IMAGENET},
    "VJEPA2": {
        "size": {"shortest_edge": 292},
        "crop_size": 256,
        "do_center_crop": True,
        "resample": 2,
        **_ALL,
        **_IMAGENET,
    },
    "PeVideo": {"resample": 2, "default_to_square": True},
}
"""Defaults of the processors whose classes transformers only has where torchvision is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Resize, centre crop, scale, normalise.

    Attributes:
        shortest: pixels of the short side after resizing, the shape kept; or
        exact: (height, width) after resizing; or neither: no resizing.
        crop: (height, width) of the centre that is kept, padded with black where it is larger.
        resample: "nearest", "bilinear" or "bicubic" (antialiased, rounded to 8 bits as PIL does).
        factor: multiplies the values 0…255 (1/255 as a rule).
        mean, std: of each channel, after the factor.
    """

    shortest: int | None = None
    exact: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    resample: str = "bilinear"
    factor: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, source: Source) -> Preprocessing:
        """What the checkpoint prescribes.

        Raises:
            EzavError: it has no such file, or asks for something unknown here.
        """
        content = read_json(
            source,
            "video_preprocessor_config.json",  # the other may be the sound's
            "preprocessor_config.json",
            "processor_config.json",
        )
        for name in _NESTED:
            content = content.get(name, content)
        return cls.read(content)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Preprocessing:
        """From the entries of such a file; absent ones are the defaults of the class it names.

        Raises:
            EzavError: an entry has an unknown value, or is absent and has no known default.

        Example:
            >>> found = Preprocessing.read({"size": 224, "do_center_crop": True, "crop_size": 224})
            >>> found.shortest, found.crop
            (224, (224, 224))
        """
        given = {**_defaults(content), **content}  # what is there and null is left out on purpose
        size = given.get("size") if given.get("do_resize") else None
        shortest, exact = None, None
        if isinstance(size, int) and not given.get("default_to_square"):
            shortest = size
        elif isinstance(size, Mapping) and "shortest_edge" in size:
            shortest = int(size["shortest_edge"])
        elif size is not None:
            exact = _height_width("size", size)
        crop = None
        if given.get("do_center_crop"):
            crop = _height_width("crop_size", given.get("crop_size"))
        resample = 2 if given.get("resample") is None else int(given["resample"])
        if resample not in _RESAMPLE:
            raise EzavError(f"resampling filter {resample} of a preprocessor config is not known")
        factor, normal = given.get("rescale_factor") or 1 / 255, given.get("do_normalize")
        return cls(
            shortest=shortest,
            exact=exact,
            crop=crop,
            resample=_RESAMPLE[resample],
            factor=float(factor) if given.get("do_rescale") else 1.0,
            mean=tuple(given.get("image_mean") or (0.0,) * 3) if normal else (0.0,) * 3,
            std=tuple(given.get("image_std") or (1.0,) * 3) if normal else (1.0,) * 3,
        )

    @property
    def short_side(self) -> int | None:
        """The fewest pixels a decoder should give; None: the file's own size."""
        if self.exact is not None:
            return max(self.exact)
        return self.shortest

    def __call__(self, images: np.ndarray, device: str = "cpu") -> Tensor:
        """uint8 `[F, H, W, 3]` to float32 `[F, 3, h, w]` on `device`."""
        import torch
        from torch.nn.functional import interpolate, pad

        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        pixels = pixels.permute(0, 3, 1, 2).float()
        height, width = self._resized(*pixels.shape[2:])
        if (height, width) != tuple(pixels.shape[2:]):
            # Columns, then rows, each rounded to 8 bits: what Pillow does, and with it training.
            smooth = {} if self.resample == "nearest" else {"antialias": True}
            for target in ((pixels.shape[2], width), (height, width)):
                pixels = interpolate(pixels, target, mode=self.resample, **smooth)
                pixels = pixels.round().clamp(0, 255)
        if self.crop is not None:
            top, left = height - self.crop[0], width - self.crop[1]
            if min(top, left) < 0:  # black around a picture that is smaller than the crop
                up, aside = max(-top, 0), max(-left, 0)
                pixels = pad(pixels, (aside // 2, aside - aside // 2, up // 2, up - up // 2))
            top, left = max(top, 0) // 2, max(left, 0) // 2
            pixels = pixels[:, :, top : top + self.crop[0], left : left + self.crop[1]]
        mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (self.mean, self.std))
        return (pixels * self.factor - mean) / std

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.exact is not None:
            return self.exact
        if self.shortest is None:
            return height, width
        if height <= width:
            return self.shortest, int(self.shortest * width / height)
        return int(self.shortest * height / width), self.shortest


def _defaults(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the processor class that a file names takes for absent entries."""
    name = next((str(content[key]) for key in _NAMED if content.get(key)), None)
    if name is None:
        return _UNNAMED
    import transformers

    family = re.sub("(ImageProcessor(Fast|Pil)?|VideoProcessor|FeatureExtractor)$", "", name)
    processor = getattr(transformers, f"{family}ImageProcessorPil", None)
    if processor is not None:
        entries = ("default_to_square", *_STEPS, *(e for step in _STEPS.values() for e in step))
        found = {entry: getattr(processor, entry, None) for entry in entries}
        return {entry: value for entry, value in found.items() if value is not None}
    if family in WITHOUT_A_CLASS:
        return WITHOUT_A_CLASS[family]
    # Without a crop a file often says nothing of one.
    needed = [step for step in _STEPS if step != "do_center_crop"]
    needed += [e for step, needs in _STEPS.items() if content.get(step) for e in needs]
    absent = [entry for entry in needed if entry not in content]
    if absent:
        raise EzavError(
            f"a preprocessor config leaves out {', '.join(absent)}, and the defaults of '{name}' "
            "are not known here",
            "write them into the file",
        )
    return {}


def _height_width(entry: str, value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if isinstance(value, Mapping) and {"height", "width"} <= set(value):
        return int(value["height"]), int(value["width"])
    if isinstance(value, Sequence) and len(value) == 2:
        return int(value[0]), int(value[1])
    raise DamagedError(f"cannot read the {entry} {value!r} of a preprocessor config")


def windows(frames: int, length: int) -> list[Sequence[int]]:
    """Frame indices of windows of `length` frames each that cover `frames` frames in order.

    There are about `frames / length` windows, at least one; each takes frames at the middles of
    equal steps of its share, so a window of too few frames repeats some.

    Example:
        >>> [list(w) for w in windows(4, 2)], [list(w) for w in windows(1, 3)]
        ([[0, 1], [2, 3]], [[0, 0, 0]])
    """
    count = max(1, round(frames / length))
    parts = np.array_split(np.arange(frames), count)
    steps = (np.arange(length) + 0.5) / length
    return [part[(steps * len(part)).astype(int)].tolist() for part in parts]
