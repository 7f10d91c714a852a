"""A media file on disk → frames and waveform, by timestamp.

Example:
    >>> from ezav.media import FrameSpec, read_clip
    >>> clip = read_clip("no/such/clip.mp4", video=FrameSpec.at_fps(4, short_side=112))
    >>> clip.status, clip.reason
    ('failed', 'no such file')
"""

from ezav.media.clip import Clip, Frames, FrameSpec, Waveform
from ezav.media.read import Decoder, TooLongError, read_clip
from ezav.media.windows import read_windows

__all__ = [
    "Clip",
    "Decoder",
    "FrameSpec",
    "Frames",
    "TooLongError",
    "Waveform",
    "read_clip",
    "read_windows",
]
