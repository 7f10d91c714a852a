"""Sources that FFmpeg alone can speak with: a process of its own passes their packets on.

It decodes nothing: it opens the one source that the user typed, by the protocols that such a source
needs, and writes its packets as NUT to the pipe, from where they go to the worker that decodes.
Once the source is open the process takes itself off the network but for what is open
(:mod:`ezav.extraction.confine`).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av

from ezav.extraction.confine import cut_off

_MEMORY = 1 << 30
"""Bytes that it may hold."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of source is opened.

    Attributes:
        protocols: what it may speak; empty of a device.
        format: of FFmpeg; empty: FFmpeg finds it.
        options: of FFmpeg.
    """

    protocols: str = ""
    format: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


ADDRESSES: Mapping[str, Kind] = {
    # Over TCP where the server can: else packets are lost in silence.
    "rtsp": Kind("rtp,rtsp,tcp,udp", "rtsp", {"rtsp_flags": "prefer_tcp"}),
}
DEVICES: Mapping[str, Kind] = {
    "v4l2": Kind(format="v4l2"),
    "alsa": Kind(format="alsa"),
    "avfoundation": Kind(format="avfoundation"),
}


def device(name: str) -> tuple[str, str] | None:
    """The kind and the name of a device; None where it is none.

    Example:
        >>> device("v4l2:/dev/video2"), device("avfoundation:0:1"), device("film.mp4")
        (('v4l2', '/dev/video2'), ('avfoundation', '0:1'), None)
    """
    kind, colon, rest = name.partition(":")
    if colon and kind.lower() in DEVICES and not rest.startswith("//"):
        return kind.lower(), rest
    if name.startswith("/dev/video"):
        try:
            return ("v4l2", name) if stat.S_ISCHR(Path(name).stat().st_mode) else None
        except (OSError, ValueError):
            return None
    return None


def pass_on(source: str, kind: Kind, out: BinaryIO, patience: float) -> None:
    """Write the packets of a source as NUT, until it ends.

    Raises:
        OSError: it cannot be opened or read (`av.FFmpegError` is one), or nobody reads any more.
        ValueError: FFmpeg does not know such a source.
    """
    options = {"analyzeduration": "1500000", **kind.options}
    if kind.protocols:
        options["protocol_whitelist"] = kind.protocols
    found = av.open(
        source,
        format=kind.format or None,
        container_options=options,
        metadata_errors="ignore",
        timeout=patience,
    )
    cut_off()
    with found, av.open(out, "w", format="nut") as stream:
        read: list[Any] = [one for one in found.streams if one.type in ("audio", "video")]
        kept = {one.index: stream.add_stream_from_template(one, opaque=True) for one in read}
        for packet in found.demux(read):
            if packet.dts is None:
                continue
            packet.stream = kept[packet.stream.index]
            stream.mux(packet)


class _Written:
    """Standard output that passes every packet on at once, and cannot be sought in."""

    def write(self, block: bytes) -> int:
        left = memoryview(block)
        while left:
            left = left[os.write(1, left) :]
        return len(block)


def main() -> None:
    """`python -m ezav.recognizer.relay KIND SOURCE PATIENCE`: one line on stderr where it fails."""
    name, source, patience = sys.argv[1:]
    kind = {**ADDRESSES, **DEVICES}[name]
    _limit_memory()
    try:
        pass_on(source, kind, _Written(), float(patience))  # type: ignore[arg-type]
    except BrokenPipeError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        unknown = kind.format and "no container format" in str(error)
        print(f"this FFmpeg knows no {name}" if unknown else why, file=sys.stderr)
        sys.exit(1)


def _limit_memory() -> None:
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    main()
