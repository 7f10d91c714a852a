"""Decoded frames to upright RGB images with square pixels, at the size asked for."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from ezav.media import hdr

_MAX_SIDE = 16_384
_UNSPECIFIED = 2
_MATRICES = {
    8: "colours in YCgCo",
    10: "colours in BT.2020 of constant luminance",
    11: "colours in SMPTE ST 2085",
    12: "colours derived from chromaticity",
    13: "colours derived from chromaticity, constant luminance",
    14: "colours in ICtCp",
    15: "colours in IPT-C2",
    16: "colours in YCgCo-Re",
    17: "colours in YCgCo-Ro",
}
"""`colorspace` of a frame (ITU-T H.273), those that FFmpeg does not convert."""
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a picture: first transposed, then mirrored.

    Example:
        >>> image = np.array([[1, 2], [3, 4]])
        >>> Orientation(transpose=True, mirror_y=True).apply(image).tolist()  # 90° left
        [[2, 4], [1, 3]]
    """

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """From the frame's display matrix; anything but right angles and mirrors is ignored."""
        for data in cast("list[SideData]", list(frame.side_data)):
            if data.type is Type.DISPLAYMATRIX:
                return cls.from_matrix(struct.unpack("=9i", bytes(data)))
        return cls()

    @classmethod
    def from_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """A display matrix takes (x, y) to (a x + c y, b x + d y), y pointing down."""
        a, b, _, c, d = matrix[:5]
        if a and d and not (b or c):
            return cls(mirror_x=a < 0, mirror_y=d < 0)
        if b and c and not (a or d):
            return cls(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
        return cls()

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture `[H, W, …]` laid right."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        if self.mirror_x:
            image = image[:, ::-1]
        if self.mirror_y:
            image = image[::-1]
        return image


class UnconvertibleError(Exception):
    """A picture that cannot be made RGB; the text says why."""


class Converter:
    """Frames of one stream to uint8 RGB `[H, W, 3]`, all of one size (that of the first frame).

    A frame of another shape (a phone that was turned, an advertisement) keeps its proportions: it
    is laid into the middle of the first one's size, with black beside it.

    Args:
        short_side: larger frames are shrunk to it; None keeps the file's size.
        pixel_aspect: width of a pixel over its height, as the stream has it.
        turned: the frames come turned by a right angle from how the stream has them.
    """

    def __init__(
        self, short_side: int | None, pixel_aspect: Fraction | None, turned: bool = False
    ) -> None:
        self.short_side = short_side
        sane = pixel_aspect is not None and Fraction(1, 10) <= pixel_aspect <= 10
        aspect = float(pixel_aspect) if sane and pixel_aspect is not None else 1.0
        self.stretch = (1.0, aspect) if turned else (aspect, 1.0)
        # Keeps the scaling tables from frame to frame; frame.reformat() would build them anew.
        self.reformatter = VideoReformatter()
        self.size: tuple[int, int] | None = None
        """Width and height of every picture, upright; set by the first."""
        self._given: tuple[int, int] | None = None
        self._scaled = (0, 0)
        self._orientation = Orientation()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame, upright and scaled.

        Raises:
            UnconvertibleError: its colours or its pixels are of a kind that cannot be converted.
        """
        if (frame.width, frame.height) != self._given:
            self._fit(frame)
        image = self._orientation.apply(self._rgb(frame))
        assert self.size is not None
        width, height = self.size
        if image.shape[:2] == (height, width):
            return np.ascontiguousarray(image)
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        whole = np.zeros((height, width, 3), np.uint8)
        whole[top : top + image.shape[0], left : left + image.shape[1]] = image
        return whole

    def _fit(self, frame: VideoFrame) -> None:
        """Take the size and the orientation of the frame."""
        self._given = frame.width, frame.height
        self._orientation = Orientation.of(frame)
        width, height = frame.width * self.stretch[0], frame.height * self.stretch[1]
        turn = self._orientation.transpose
        if self.size is None:
            self._scaled = scaled_size(width, height, self.short_side)
            self.size = self._scaled[::-1] if turn else self._scaled
            return
        room = self.size[::-1] if turn else self.size
        scale = min(room[0] / width, room[1] / height)
        self._scaled = (
            min(room[0], max(1, round(scale * width))),
            min(room[1], max(1, round(scale * height))),
        )

    def _rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        # Untagged HD is BT.709 by convention, untagged SD BT.601 (swscale's own default).
        untagged = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
        full = frame.color_range == ColorRange.JPEG
        bright = frame.color_trc in (hdr.PQ, hdr.HLG)
        try:
            image = self.reformatter.reformat(
                frame,
                width=self._scaled[0],
                height=self._scaled[1],
                format="rgb48le" if bright else "rgb24",
                src_colorspace=Colorspace.ITU709 if untagged and frame.height >= 720 else None,
                src_color_range=ColorRange.JPEG if full else None,
                interpolation=_SCALING,
                threads=1,
            ).to_ndarray()
        except MemoryError:
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            kind = _MATRICES.get(int(frame.colorspace), f"pixel format {frame.format.name}")
            raise UnconvertibleError(f"pictures cannot be converted ({kind})") from error
        if bright:
            codes = cast("NDArray[np.uint16]", image)
            return hdr.to_display(codes, int(frame.color_trc), int(frame.color_primaries))
        return cast("NDArray[np.uint8]", image)


def scaled_size(width: float, height: float, short_side: int | None) -> tuple[int, int]:
    """Width and height in whole pixels, the shorter side at most as asked, proportions kept.

    Example:
        >>> scaled_size(1920, 1080, 224), scaled_size(160, 120, 224), scaled_size(161.3, 121, None)
        ((398, 224), (160, 120), (161, 121))
    """
    scale = 1.0 if short_side is None else min(1.0, short_side / min(width, height))
    sides = (min(max(1, round(side * scale)), _MAX_SIDE) for side in (width, height))
    return next(sides), next(sides)
