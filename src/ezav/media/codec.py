"""Pictures through torchcodec, where it is installed: it seeks to the ones that are wanted.

The file is opened, checked and listened to with PyAV as always, and PyAV says which instants are
wanted; only their pictures come from torchcodec. They are the same frames. Their colours differ
by about one grey level in 255 on average, since it interpolates chroma in another way; so it is
never used unless it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from ezav.errors import EzavError
from ezav.media.clip import Clip
from ezav.media.collect import Collector, Converters, Wanted, note_losses
from ezav.media.container import open_source
from ezav.media.decode import Picture, Problems, decode, packets
from ezav.media.scan import Extent, scan

_SEEKABLE = {"mov", "matroska"}
"""Containers with an index; in others (MPEG-TS) seeking may come to another frame."""
_AT_ONCE = 16
"""Pictures decoded in one go, at the size of the file."""


def require_torchcodec() -> Any:
    """torchcodec's decoder class.

    Raises:
        EzavError: torchcodec or the FFmpeg that it needs is not installed.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except ImportError:
        raise EzavError("torchcodec is not installed", "pip install 'ezav[codec]'") from None
    except (OSError, RuntimeError) as error:
        raise EzavError(
            "torchcodec cannot be loaded", "install FFmpeg's shared libraries, and a fitting torch"
        ) from error
    return VideoDecoder


def read_seeking(path: str | os.PathLike[str], wanted: Wanted) -> Clip | None:
    """The clip with its pictures from torchcodec; None where PyAV has to read the file.

    That is a file without pictures, one in a container without an index, and one that torchcodec
    cannot read: what is wrong with it, and what can be saved of it, is PyAV's to say.
    """
    video_decoder = require_torchcodec()
    with open_source(Path(path)) as source:
        if source.video is None or not wanted.specs:
            return None
        if not _SEEKABLE & source.formats:
            return None
        view = source.only(video=True, audio=False)
        problems = Problems()
        promised = scan(view, packets(view, problems))["video"]
    if promised.length <= 0 or problems.notes:  # torchcodec does not mend time stamps
        return None
    with open_source(Path(path)) as source:
        if source.video is None:
            return None
        try:
            decoder = video_decoder(
                os.fspath(path),
                stream_index=source.video.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=1,
            )
            converters = Converters(source, turned=_turned(decoder))
            collector = Collector(wanted, converters, promised, problems)
            for picture in _pictures(decoder, collector, promised):
                collector.add(picture)
        except (RuntimeError, ValueError, IndexError):
            return None
        collector.picture = Extent(promised.begin, promised.end)
        for sound in decode(source.only(video=False, audio=bool(wanted.rates)), problems):
            collector.add(sound)
        asked = source.only(video=True, audio=bool(wanted.rates))
        note_losses(collector.extents, {"video": promised}, asked, problems)
        return collector.clip(source, os.fspath(path), problems, collector.first)


def _pictures(decoder: Any, collector: Collector, promised: Extent) -> Iterator[Picture]:
    """The frames shown at the instants of the specs (or all), once each, in order."""
    if any(sampler.instants is None for sampler in collector.samplers):
        for at in range(0, len(decoder), _AT_ONCE):
            yield from _batch(decoder.get_frames_in_range(at, min(at + _AT_ONCE, len(decoder))))
        return
    instants = np.unique(
        np.concatenate([s.instants for s in collector.samplers if s.instants is not None])
    )
    first, last = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
    instants = instants.clip(first, np.nextafter(last, first))
    seen = -np.inf
    for at in range(0, len(instants), _AT_ONCE):
        for picture in _batch(decoder.get_frames_played_at(instants[at : at + _AT_ONCE].tolist())):
            if picture.time > seen:
                yield picture
                seen = picture.time


def _batch(frames: Any) -> Iterator[Picture]:
    for image, time, length in zip(
        frames.data.numpy(), frames.pts_seconds.tolist(), frames.duration_seconds.tolist()
    ):
        yield Picture(VideoFrame.from_ndarray(image, format="rgb24"), time, length)


def _turned(decoder: Any) -> bool:
    """Whether it turns the frames by a right angle, as their display matrix says."""
    return bool(round(abs(decoder.metadata.rotation or 0)) % 180 == 90)
