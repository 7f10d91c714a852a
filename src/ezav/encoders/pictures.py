"""Frames to a network's input, as its checkpoint prescribes, on any device.

The prescription is the checkpoint's own `preprocessor_config.json` (or `video_preprocessor_…`,
or the newer `processor_config.json`). It is applied here with torch alone: the library's fast
processors need a package that is not required otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.encoders.loading import Source, read_json
from ezav.errors import EzavError

if TYPE_CHECKING:
    from torch import Tensor

_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers
_NESTED = ("image_processor", "video_processor")  # inside processor_config.json


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
            "preprocessor_config.json",
            "video_preprocessor_config.json",
            "processor_config.json",
        )
        for name in _NESTED:
            content = content.get(name, content)
        return cls.read(content)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Preprocessing:
        """From the entries of such a file.

        Example:
            >>> found = Preprocessing.read({"size": 224, "do_center_crop": True, "crop_size": 224})
            >>> found.shortest, found.crop
            (224, (224, 224))
        """
        size = content.get("size") if content.get("do_resize", True) else None
        shortest, exact = None, None
        if isinstance(size, int):
            shortest = size
        elif isinstance(size, Mapping) and "shortest_edge" in size:
            shortest = int(size["shortest_edge"])
        elif isinstance(size, Mapping) and {"height", "width"} <= set(size):
            exact = (int(size["height"]), int(size["width"]))
        elif size is not None:
            raise EzavError(f"cannot read the picture size {size!r} of a preprocessor config")
        crop = content.get("crop_size") if content.get("do_center_crop") else None
        if isinstance(crop, int):
            crop = {"height": crop, "width": crop}
        resample = int(content.get("resample", 2))
        if resample not in _RESAMPLE:
            raise EzavError(f"resampling filter {resample} of a preprocessor config is not known")
        normal = content.get("do_normalize", True)
        return cls(
            shortest=shortest,
            exact=exact,
            crop=(int(crop["height"]), int(crop["width"])) if crop else None,
            resample=_RESAMPLE[resample],
            factor=float(content.get("rescale_factor", 1 / 255))
            if content.get("do_rescale", True)
            else 1.0,
            mean=tuple(content.get("image_mean") or (0.0,) * 3) if normal else (0.0,) * 3,
            std=tuple(content.get("image_std") or (1.0,) * 3) if normal else (1.0,) * 3,
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
