"""Encoders that live in this process (on a GPU): media decoded by workers, encoded in batches.

A worker has a :class:`Forward` in the encoder's place. It sends the media on and gives as its one
token the number of what it sent; here that token is replaced by what the encoder says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from ezav.encoders.base import Encoded, EncoderCard, MediaNeeds
from ezav.encoders.options import options
from ezav.encoders.spec import EncoderSpec
from ezav.extraction.encoded import OK, EncodedClip, MediaEncoder, kind_of
from ezav.extraction.gather import EncoderError, encode_checked, joined
from ezav.extraction.shown import check_frames, check_sound, finite
from ezav.extraction.wire import Arrays, Channel
from ezav.media import Frames, Waveform


def on_device(spec: EncoderSpec, encoder: MediaEncoder, device: str) -> EncoderSpec:
    """The spec for that device, if the encoder (as loaded from the spec) can be put on one.

    Example:
        >>> from ezav.encoders import load_audio
        >>> on_device(EncoderSpec("statistics"), load_audio("statistics"), "cuda")  # not a network
        EncoderSpec(name='statistics', options={})
    """
    if device == "cpu" or "device" not in options(type(encoder)):
        return spec
    return EncoderSpec(spec.name, {**spec.options, "device": device})


_Encoder = TypeVar("_Encoder")


def placed(
    specs: Sequence[EncoderSpec], load: Callable[..., _Encoder]
) -> list[EncoderSpec | _Encoder]:
    """What a pool is to be given: specs for workers to load, or encoders, which stay here.

    One on another device than the CPU stays in one process, and takes batches there.
    """
    return [spec if in_worker(spec) else load(spec.name, **spec.options) for spec in specs]


def in_worker(spec: EncoderSpec) -> bool:
    """Whether a worker may have it: it runs on the CPU.

    Example:
        >>> in_worker(EncoderSpec("clip")), in_worker(EncoderSpec("clip", {"device": "cuda"}))
        (True, False)
    """
    return str(spec.options.get("device", "cpu")) == "cpu"


BATCH = 16
"""Pieces of media encoded at a time."""

Media = Frames | Waveform


class Forward:
    """Takes an encoder's place in a worker: asks for the same media, and sends it on."""

    def __init__(self, slot: str, needs: Mapping[str, Any], channel: Channel) -> None:
        self.slot = slot
        self.card = EncoderCard(
            name="forward",
            kind="visual" if kind_of(slot) == "visual" else "audio",
            dimension=1,
            needs=MediaNeeds(**needs),
            source="ezav",
            revision="1",
            licence="MIT",
        )
        self._channel = channel
        self._sent = 0

    @staticmethod
    def setup(encoder: MediaEncoder) -> dict[str, Any]:
        """What a worker needs to know to make one."""
        return {"forward": asdict(encoder.card.needs)}

    def encode(self, clips: Sequence[Any]) -> list[Encoded]:
        """Send one piece; the token is its number."""
        (media,) = clips
        head = {"piece": self._sent, "slot": self.slot}
        if isinstance(media, Frames):
            self._channel.send(head, {"images": media.images, "times": media.times})
        else:
            about = {"sample_rate": media.sample_rate, "start": media.start}
            self._channel.send(head | about, {"samples": media.samples})
        token = np.array([[self._sent]], np.float32)
        self._sent = (self._sent + 1) % (1 << 20)  # within what a float32 counts exactly
        return [Encoded(token, np.zeros(1, np.float32))]


def received(head: Mapping[str, Any], arrays: Arrays) -> Media:
    """The media of a message that a :class:`Forward` sent; nothing is believed of it.

    Raises:
        ValueError, LookupError: it makes no sense.
    """
    if "images" in arrays:
        check_frames(arrays["images"], arrays["times"])
        return Frames(arrays["images"], arrays["times"])
    samples, rate = arrays["samples"], head["sample_rate"]
    check_sound(samples, rate)
    return Waveform(samples, rate, finite(head["start"]))


_Key = tuple[int, str, int]
"""Clip, slot of the encoder, number of the piece."""


@dataclass(slots=True)
class Batcher:
    """Encodes pieces in batches and gives clips out when all of theirs are encoded.

    Attributes:
        encoders: slot -> the encoder in this process (:func:`ezav.extraction.encoded.slotted`).
        size: pieces of a batch.
    """

    encoders: Mapping[str, MediaEncoder]
    size: int = BATCH
    _media: dict[_Key, Media] = field(default_factory=dict)
    _tokens: dict[_Key, Encoded] = field(default_factory=dict)
    _clips: dict[int, EncodedClip] = field(default_factory=dict)
    _failed: dict[tuple[int, str], str] = field(default_factory=dict)
    _open: Counter[int] = field(default_factory=Counter)

    def add(self, clip: int, slot: str, piece: int, media: Media) -> None:
        """A piece of a clip whose decoding goes on.

        Raises:
            ValueError: no encoder here is for it, or it has come before.
        """
        key = (clip, slot, piece)
        if type(piece) is not int or slot not in self.encoders:
            raise ValueError("a piece that nobody asked for")
        if key in self._media or key in self._tokens:
            raise ValueError("a piece that has come before")
        self._media[clip, slot, piece] = media
        self._open[clip] += 1

    def close(self, index: int, clip: EncodedClip) -> None:
        """The clip is decoded; its tokens are still the numbers of its pieces.

        Raises:
            ValueError: they are the numbers of other pieces.
        """
        if clip.status == OK:
            for slot in self.encoders:
                self._check_numbers(index, slot, clip.tokens.get(slot))
        if clip.status != OK:
            self.forget(index)
        self._clips[index] = clip

    def forget(self, index: int) -> None:
        """What has come of a clip: it comes again, or not at all."""
        for kept in (self._media, self._tokens):
            for key in [key for key in kept if key[0] == index]:
                del kept[key]
        for slot in self.encoders:
            self._failed.pop((index, slot), None)
        self._open.pop(index, None)

    def _check_numbers(self, index: int, slot: str, numbers: Encoded | None) -> None:
        had = [
            key[2]
            for kept in (self._media, self._tokens)
            for key in kept
            if key[:2] == (index, slot)
        ]
        told = [] if numbers is None else [float(row[0]) for row in numbers.values]
        if sorted(had) != sorted(told):
            raise ValueError("tokens that are not the numbers of the pieces")

    def ready(self, flush: bool = False) -> Iterator[tuple[int, EncodedClip]]:
        """Clips that are done; with `flush` all that are closed."""
        if self._media and (flush or len(self._media) >= self.size):
            for slot in self.encoders:
                self._encode(slot)
        for index in [index for index in self._clips if not self._open[index]]:
            yield index, self._finished(index, self._clips.pop(index))

    def _encode(self, slot: str) -> None:
        keys = [key for key in self._media if key[1] == slot]
        for at in range(0, len(keys), self.size):
            batch = keys[at : at + self.size]
            media = [self._media.pop(key) for key in batch]
            encoder = self.encoders[slot]
            try:
                found = encode_checked(encoder, media)
            except EncoderError:
                found = [self._alone(encoder, key, one) for key, one in zip(batch, media)]
            for key, tokens in zip(batch, found):
                self._tokens[key] = tokens
                self._open[key[0]] -= 1

    def _alone(self, encoder: MediaEncoder, key: _Key, media: Media) -> Encoded:
        """One piece of a batch that failed: whose fault was it?"""
        try:
            return encode_checked(encoder, [media])[0]
        except EncoderError as error:
            self._failed[key[:2]] = str(error)
            return Encoded(np.zeros((0, encoder.card.dimension)), np.zeros(0))

    def _finished(self, index: int, clip: EncodedClip) -> EncodedClip:
        self._open.pop(index, None)
        if clip.status != OK:
            return clip
        found, failed = dict(clip.tokens), dict(clip.failed)
        for slot in self.encoders:
            if (numbers := found.pop(slot, None)) is None:
                continue
            parts = []
            for number, start in zip(numbers.values[:, 0].astype(int), numbers.times):
                tokens = self._tokens.pop((index, slot, int(number)))
                if len(tokens.values):
                    parts.append(Encoded(tokens.values, tokens.times + start))
            if reason := self._failed.pop((index, slot), ""):
                failed[slot] = reason
            elif (whole := joined(parts)) is not None:
                found[slot] = whole
        return replace(clip, tokens=found, failed=failed)
