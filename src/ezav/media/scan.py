"""When the pictures and the sound of a file begin and end, from its packets: nothing is decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from av.packet import Packet
from av.stream import Stream

from ezav.media.container import Source
from ezav.media.decode import Problems, packets


@dataclass(slots=True)
class Extent:
    """Begin and end in seconds on the file's clock; `end == begin` when there is nothing."""

    begin: float = 0.0
    end: float = 0.0

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.begin


@dataclass(slots=True)
class _Stamps:
    tick: float
    """Seconds a unit of time stamps (a float: fractions are slow)."""
    times: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)


def scan(source: Source, given: Iterable[Packet[Stream]] | None = None) -> dict[str, Extent]:
    """The extent of "video" and "audio" as the packets have it.

    A damaged file may promise more here than can be decoded.

    Args:
        source: an open file; it is read to its end unless the packets are given.
        given: its packets.
    """
    streams = {"video": source.video, "audio": source.audio}
    found = {
        stream.index: _Stamps(float(stream.time_base or 0))
        for stream in streams.values()
        if stream is not None
    }
    # Where it breaks off, decoding comes to the same place and reports it.
    for packet in packets(source, Problems()) if given is None else given:
        stamps = found.get(packet.stream.index)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamps is None or stamp is None or packet.is_discard:
            continue
        stamps.times.append(stamp * stamps.tick)
        stamps.lengths.append((packet.duration or 0) * stamps.tick)
    return {
        name: _extent(found[stream.index]) for name, stream in streams.items() if stream is not None
    }


def _extent(stamps: _Stamps) -> Extent:
    if not stamps.times:
        return Extent()
    last = max(range(len(stamps.times)), key=stamps.times.__getitem__)
    length = stamps.lengths[last]
    if not length and len(stamps.times) > 1:
        times = sorted(stamps.times)
        length = median(after - before for before, after in itertools.pairwise(times))
    return Extent(min(stamps.times), stamps.times[last] + length)
