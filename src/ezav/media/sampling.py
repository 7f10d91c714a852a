"""From the stream of decoded pictures, the ones that a spec asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ezav.media.clip import Frames, FrameSpec
from ezav.media.decode import Picture
from ezav.media.picture import Converter


class Sampler:
    """Collects the frames of one spec while the pictures of a clip go by, in order.

    Only chosen pictures are converted, and each of them once.

    Args:
        spec: which frames.
        converter: makes images of the spec's size.
        instants: for `count` and `fps`, when to look (rising, on the file's clock); None for
            every frame.
    """

    def __init__(
        self,
        spec: FrameSpec,
        converter: Converter,
        instants: NDArray[np.float64] | None,
    ) -> None:
        self.spec = spec
        self.converter = converter
        self.instants = instants
        self.images: list[NDArray[np.uint8]] = []
        self.times: list[float] = []
        self._shown: Picture | None = None

    def add(self, picture: Picture) -> None:
        """The next picture: it ends the time of the one before."""
        if self.instants is None:
            self._take(self.converter(picture.frame), picture.time)
            return
        try:
            self._look_until(picture.time)
        finally:  # one that cannot be converted is passed over
            self._shown = picture

    def finish(self, end: float, origin: float) -> Frames | None:
        """No more pictures, and the last is shown until `end`; None if there was no picture.

        Times are given as seconds after `origin`.
        """
        if self.instants is not None:
            self._look_until(end)
            # Rounding may leave the very last instant a hair behind the end.
            if self._shown is not None and not self.images and len(self.instants):
                self._take(self.converter(self._shown.frame), float(self.instants[0]))
        if not self.images:
            return None
        return Frames(np.stack(self.images), np.array(self.times) - origin)

    def _look_until(self, time: float) -> None:
        """Take the shown picture for every instant before `time`."""
        assert self.instants is not None
        image: NDArray[np.uint8] | None = None
        while len(self.images) < len(self.instants):
            instant = float(self.instants[len(self.images)])
            if instant >= time:
                return
            if self._shown is None:
                # The picture begins after this instant (late frames, a damaged beginning): the
                # first picture there is stands in, so that the number of frames holds.
                return
            image = self.converter(self._shown.frame) if image is None else image
            self._take(image, instant)

    def _take(self, image: NDArray[np.uint8], time: float) -> None:
        self.images.append(image)
        self.times.append(time)
