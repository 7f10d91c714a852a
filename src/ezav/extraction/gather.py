"""The pieces of one recording to its tokens, whatever the encoders and the file do wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ezav.encoders.base import LARGEST, Encoded, MediaNeeds
from ezav.errors import EzavError
from ezav.extraction.encoded import DAMAGED, OK, EncodedClip, MediaEncoder, kind_of
from ezav.media import Clip, Frames, Waveform

_MOST_REASONS = 5
SILENT = "the sound is silence"
BLACK = "the picture is black"
"""Remarks on a whole recording, by which :mod:`ezav.checking` knows such clips."""
_LOUDEST = 1e-3
"""Amplitude of a sample, full scale being 1, up to which sound is silence (-60 dB)."""
_BRIGHTEST = 24
"""Level of a pixel, of 255, up to which a picture is black: codecs add a faint noise."""
_SHORTER = "the recording is shorter than the file says it is"


class EncoderError(Exception):
    """An encoder raised; the text says which and why."""


class Gathered:
    """The tokens of the pieces of one recording, and what was wrong with them.

    Args:
        path: of the recording.
        encoders: slot -> encoder.
    """

    def __init__(self, path: Path, encoders: Mapping[str, MediaEncoder]) -> None:
        self.path = path
        self.encoders = encoders
        self.tokens: dict[str, list[Encoded]] = {}
        self.failed: dict[str, str] = {}
        self.missing: dict[str, dict[str, None]] = {"visual": {}, "audio": {}}
        self.warnings: dict[str, None] = {}
        self.truncated = False
        self.loudest: float | None = None
        self.brightest: int | None = None
        self.duration = 0.0
        self.frames = 0
        self.claimed: float | None = None

    def add(self, piece: Clip) -> None:
        """Encode a piece; its frames and sound are let go."""
        for kind, reason in (("visual", piece.video_missing), ("audio", piece.audio_missing)):
            if reason:
                self.missing[kind].setdefault(reason)
        for sound in piece.audio.values():
            self.loudest = max(self.loudest or 0.0, float(np.abs(sound.samples).max()))
        for picture in piece.video.values():
            self.brightest = max(self.brightest or 0, int(picture.images.max()))
        for slot, encoder in self.encoders.items():
            media = media_for(encoder.card.needs, piece)
            if media is None or slot in self.failed:
                continue
            try:
                ((values, times),) = encode_checked(encoder, [media])
            except EncoderError as error:
                self.failed[slot] = str(error)
                continue
            if len(values):
                tokens = Encoded(values, times + np.float32(piece.start))
                self.tokens.setdefault(slot, []).append(tokens)
        told = dict.fromkeys(piece.warnings)
        # Of a long list only the first are kept: those that make a clip damaged are among them.
        self.warnings = told | self.warnings if piece.truncated else self.warnings | told
        self.truncated |= piece.truncated
        self.duration = max(self.duration, piece.start + piece.duration)
        self.frames += piece.frames_decoded
        self.claimed = piece.claimed

    def result(self, use_damaged: bool, whole: bool = False) -> EncodedClip:
        """What became of the file; not yet checked.

        Args:
            use_damaged: keep the tokens of a file that is cut short.
            whole: it is a whole recording: say so where there is nothing to hear, or to see.
        """
        found = {
            slot: tokens
            for slot, parts in self.tokens.items()
            if slot not in self.failed and (tokens := joined(parts)) is not None
        }
        if self.truncated and not self.warnings:
            self.warnings = {_SHORTER: None}
        if whole and self.loudest is not None and self.loudest <= _LOUDEST:
            self.warnings.setdefault(SILENT)
        if whole and self.brightest is not None and self.brightest <= _BRIGHTEST:
            self.warnings.setdefault(BLACK)
        missing = {
            kind: list(reasons)[:_MOST_REASONS]
            for kind, reasons in self.missing.items()
            if reasons and not any(kind_of(slot) == kind for slot in found)
        }
        reasons = [reason for several in missing.values() for reason in several]
        reasons = list(dict.fromkeys([*reasons, *self.warnings]))[:_MOST_REASONS]
        status, failed = OK, self.failed
        if (found or failed) and self.truncated and not use_damaged:
            status, found, failed = DAMAGED, {}, {}
        return EncodedClip(
            tokens=found,
            duration=self.duration,
            status=status,
            reason="; ".join(reasons),
            frames=self.frames,
            path=self.path,
            failed=failed,
            missing={kind: "; ".join(several) for kind, several in missing.items()},
            warnings=tuple(self.warnings)[:_MOST_REASONS],
            claimed=self.claimed,
        )


def media_for(needs: MediaNeeds, piece: Clip) -> Frames | Waveform | None:
    """What an encoder takes of a piece; None where the piece has nothing of it."""
    if needs.frame_spec is not None:
        return piece.video.get(needs.frame_spec)
    return None if needs.sample_rate is None else piece.audio.get(needs.sample_rate)


def joined(tokens: Sequence[Encoded]) -> Encoded | None:
    """The tokens of consecutive pieces as one; None if there are none.

    Example:
        >>> joined([]) is None
        True
    """
    if not tokens:
        return None
    values, times = zip(*tokens)
    return Encoded(np.concatenate(values), np.concatenate(times))


def encode_checked(encoder: MediaEncoder, media: Sequence[Any]) -> list[Encoded]:
    """The tokens of some pieces of media.

    Raises:
        EncoderError: the encoder raised, or gave something else than its card promises.

    Example:
        >>> from ezav.encoders import load_audio
        >>> from ezav.media import Waveform
        >>> class Broken:
        ...     card = load_audio("statistics").card
        ...     def encode(self, clips):
        ...         return [(np.zeros((1, 3)), np.zeros(1))]
        >>> encode_checked(Broken(), [Waveform(np.zeros(16000, np.float32), 16000)])
        Traceback (most recent call last):
        ezav.extraction.gather.EncoderError: 'statistics' gave tokens (1, 3) with times ...
    """
    name, dim = encoder.card.name, encoder.card.dimension
    try:
        found = encoder.encode(media)
        arrays = [tuple(np.asarray(part, dtype=np.float32) for part in one) for one in found]
    except MemoryError:
        raise
    except Exception as error:
        kind = "" if isinstance(error, EzavError) else f"{type(error).__name__}: "
        raise EncoderError(f"'{name}' failed: {kind}{' '.join(str(error).split())}") from error
    if len(arrays) != len(media):
        raise EncoderError(f"'{name}' gave tokens for {len(arrays)} of {len(media)} clips")
    for one in arrays:
        _check(name, dim, one)
    return [Encoded(values, times) for values, times in arrays]


def _check(name: str, dim: int, tokens: tuple[np.ndarray, ...]) -> None:
    if len(tokens) != 2:
        raise EncoderError(f"'{name}' gave {len(tokens)} arrays for a clip, expected tokens, times")
    values, times = tokens
    if values.ndim != 2 or values.shape[1] != dim or times.shape != (len(values),):
        raise EncoderError(
            f"'{name}' gave tokens {values.shape} with times {times.shape}, "
            f"expected [T, {dim}] and [T]"
        )
    if not (np.isfinite(values).all() and np.isfinite(times).all()):
        raise EncoderError(f"'{name}' gave features that are not finite")
    if values.size and (largest := float(np.abs(values).max())) > LARGEST:
        raise EncoderError(f"'{name}' gave features of {largest:g}, beyond reason")
