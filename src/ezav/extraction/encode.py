"""One file to the tokens of its picture and its sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import AudioEncoder, Encoded, VisualEncoder
from ezav.errors import EzavError
from ezav.media import Clip, FrameSpec, read_clip

OK, DAMAGED, UNREADABLE = "ok", "damaged", "unreadable"


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """What became of one file.

    Attributes:
        visual, audio: tokens float32 `[T, d]` and their times `[T]`, or None where it is missing.
        duration: seconds decoded.
        status: "ok", "damaged" (cut short, no tokens) or "unreadable" (no tokens).
        reason: what is missing or wrong; empty for a whole clip.
        frames: frames decoded.
    """

    visual: Encoded | None = None
    audio: Encoded | None = None
    duration: float = 0.0
    status: str = OK
    reason: str = ""
    frames: int = 0
    path: Path = field(default=Path())


def encode_clip(
    path: str | Path,
    visual: VisualEncoder | None,
    audio: AudioEncoder | None,
    *,
    use_damaged: bool = False,
) -> EncodedClip:
    """Decode a file once and encode what is there. A bad file gives a status, never an exception.

    Args:
        path: the file.
        visual, audio: the encoders; None leaves that modality out.
        use_damaged: keep the tokens of a file that is cut short (status "ok" with a reason).

    Example:
        >>> encode_clip("no/such/clip.mp4", None, None).reason
        'no such file'
    """
    spec = None if visual is None else visual.card.needs.frame_spec
    rate = None if audio is None else audio.card.needs.sample_rate
    if spec is None and rate is None:
        spec = FrameSpec.middle()
    clip = read_clip(path, video=spec, audio=rate)
    path = Path(path)
    if clip.status == "failed":
        return EncodedClip(status=UNREADABLE, reason=clip.reason, path=path)
    if clip.truncated and not use_damaged:
        return EncodedClip(
            duration=clip.duration,
            status=DAMAGED,
            reason=clip.reason,
            frames=clip.frames_decoded,
            path=path,
        )
    try:
        view = _visual(clip, visual)
        sound = _audio(clip, audio)
    except EzavError as error:
        return EncodedClip(status=UNREADABLE, reason=f"not encoded: {error}", path=path)
    reason = "; ".join(r for r in (clip.video_missing, clip.audio_missing, clip.reason) if r)
    return EncodedClip(view, sound, clip.duration, OK, reason, clip.frames_decoded, path)


def _visual(clip: Clip, encoder: VisualEncoder | None) -> Encoded | None:
    frames = clip.frames
    if encoder is None or frames is None:
        return None
    return _checked(encoder.encode([frames]), encoder)


def _audio(clip: Clip, encoder: AudioEncoder | None) -> Encoded | None:
    sound = clip.waveform
    if encoder is None or sound is None:
        return None
    return _checked(encoder.encode([sound]), encoder)


def _checked(encoded: Sequence[Encoded], encoder: Any) -> Encoded | None:
    """One clip's tokens; None if the encoder found nothing to say.

    Raises:
        EzavError: they are not what the encoder's card promises.
    """
    values, times = (np.asarray(part, dtype=np.float32) for part in encoded[0])
    name, dim = encoder.card.name, encoder.card.dimension
    if values.ndim != 2 or values.shape[1] != dim or times.shape != (len(values),):
        raise EzavError(
            f"'{name}' gave tokens {values.shape} with times {times.shape}, expected [T, {dim}]"
        )
    if not (np.isfinite(values).all() and np.isfinite(times).all()):
        raise EzavError(f"'{name}' gave features that are not finite")
    return Encoded(values, times) if len(values) else None
