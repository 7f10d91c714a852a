"""A worker process: decodes and encodes one file after the other under limits of time and memory.

Started by :mod:`ezav.extraction.process` as `python -P -m ezav.extraction.worker FD`. It serves
requests over a socket until the other side goes away:

- setup: `sys_path`, `encoders` (slot -> name and options, or what a `Forward` needs), `reading`.
  The answer is `ready` with name, revision, dimension and identity of each encoder, and whether
  it is `cut_off` from the network; or `error`.
- a file: `path`, `seconds`. The answer is an :class:`EncodedClip`, after the pieces of media that
  are to be encoded on the other side.
- a file to be looked at: also `look` (what is shown, :class:`ezav.extraction.look.Look`).
- a recording in windows: also `windows` (length and hop), and `live` where it is a named pipe that
  the other side fills: this process opens no address. One answer a window, and `over` at last.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ezav.errors import EzavError
from ezav.extraction.confine import cut_off, data_in_use
from ezav.extraction.encoded import OUT_OF_MEMORY, UNREADABLE, EncodedClip, MediaEncoder, kind_of
from ezav.extraction.reading import Reading
from ezav.extraction.wire import Channel

_ORPHANED = 10
"""Times its limit, after which the kernel ends a worker that nobody is left to end."""
_STACKS = 512 << 20
"""Bytes for the threads that torch starts with the first clip."""


def main(descriptor: int) -> None:
    """Serve until the connection closes."""
    channel = Channel(socket.socket(fileno=descriptor))
    gc.disable()  # it finds nothing in what is imported, and looks through it again and again
    try:
        setup, _ = channel.receive()
        sys.path[:] = setup["sys_path"]
        encoders = _load(setup["encoders"], channel)
        if encoders is None:
            return
        gc.freeze()
        gc.enable()
        reading = Reading(**setup["reading"])
        _limit_memory(reading.memory << 20)
        cards = {
            slot: [one.card.name, one.card.revision, one.card.dimension, one.card.identity]
            for slot, one in encoders.items()
        }
        # Encoders may have been fetched; from here on there are only files of others.
        channel.send({"ready": True, "cards": cards, "cut_off": cut_off()})
        while _serve(channel, channel.receive()[0], encoders, reading):
            pass
    except (EOFError, OSError):
        return  # the other side has gone


def _load(wanted: dict[str, Any], channel: Channel) -> dict[str, MediaEncoder] | None:
    """The encoders by slot; None, and it is told, where one cannot be loaded."""
    import av

    from ezav.encoders.registry import load_audio, load_visual
    from ezav.extraction.batch import Forward

    av.logging.set_level(av.logging.PANIC)  # what matters is in the reason

    found: dict[str, MediaEncoder] = {}
    for slot, one in wanted.items():
        kind = kind_of(slot)
        if "forward" in one:
            found[slot] = Forward(slot, one["forward"], channel)
            continue
        try:
            load = load_visual if kind == "visual" else load_audio
            found[slot] = load(one["name"], **one["options"])
        except EzavError as error:
            told = {"error": error.message, "hint": error.hint, "cause": error.cause, "slot": slot}
            channel.send(told)
            return None
    return found


def _limit_memory(extra: int) -> None:
    """Allow so many bytes on top of what the encoders take (Linux).

    Of addresses; with torch, which reserves addresses far beyond the memory it uses, of what can be
    written, and some for the stacks of its threads. The pool watches the memory in use in any case.
    """
    import resource

    if "torch" in sys.modules:
        if in_use := data_in_use():
            limit = in_use + extra + _STACKS
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        return
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _serve(
    channel: Channel,
    request: dict[str, Any],
    encoders: dict[str, MediaEncoder],
    reading: Reading,
) -> bool:
    """Answer one request; False where this process is to end.

    A process that ran out of memory is not trusted with the next file.
    """
    clips = _clips(request, encoders, reading)
    while True:
        # Only work is timed: the other side may take its time to receive.
        signal.setitimer(signal.ITIMER_REAL, _ORPHANED * request["seconds"])
        clip = _next(clips)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if clip is None:
            channel.send({"over": True})
            return True
        head, arrays = clip.message()
        channel.send(head, arrays)
        if clip.lost:
            return False
        if not request["windows"]:
            return True


def _clips(
    request: dict[str, Any], encoders: dict[str, MediaEncoder], reading: Reading
) -> Iterator[EncodedClip]:
    from ezav.extraction.encode import encode_slots, encode_windows

    path = Path(request["path"])
    if request["windows"]:
        wanted = None
        if request["look"]:
            from ezav.extraction.look import Look

            shown = Look(**request["look"])
            wanted = shown.frames, shown.rate
        length, hop = request["windows"]
        yield from encode_windows(path, encoders, length, hop, wanted, request["live"])
    elif request["look"]:
        from ezav.extraction.look import Look, look

        yield look(path, encoders, reading, Look(**request["look"]))
    else:
        yield encode_slots(path, encoders, reading)


def _next(clips: Iterator[EncodedClip]) -> EncodedClip | None:
    try:
        return next(clips, None)
    except MemoryError:
        return EncodedClip(status=UNREADABLE, reason=OUT_OF_MEMORY, lost=True)
    except Exception as error:  # a decoder's surprise must not cost more than this clip
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return EncodedClip(status=UNREADABLE, reason=reason, lost=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
