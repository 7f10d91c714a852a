"""A worker process: decodes and encodes one file after the other under limits of time and memory.

Started by :mod:`ezav.extraction.pool` as `python -P -m ezav.extraction.worker FD`. It serves
requests over a socket until the other side goes away.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ezav.errors import EzavError
from ezav.extraction.wire import Arrays, receive, send
from ezav.media import Decoder

_ORPHANED = 10
"""Times its limit, after which the kernel ends a worker that nobody is left to end."""


def main(descriptor: int) -> None:
    """Serve until the connection closes."""
    connection = Connection(descriptor)
    try:
        setup, _ = receive(connection)
        sys.path[:] = setup["sys_path"]
        try:
            encoders = _load(setup["encoders"], connection)
        except EzavError as error:
            send(connection, {"error": error.message, "hint": error.hint})
            return
        _limit_memory(int(setup["memory"]))
        send(connection, {"ready": True})
        while True:
            request, _ = receive(connection)
            _alarm(request["seconds"])
            head, arrays = _serve(request, encoders, setup["use_damaged"], setup["decoder"])
            _alarm(0)
            send(connection, head, arrays)
            if head.get("out_of_memory"):
                return  # a process that ran out of memory is not trusted with the next file
    except (EOFError, OSError):
        return  # the other side has gone


def _load(wanted: dict[str, Any], connection: Connection) -> dict[str, Any]:
    """The encoders by slot."""
    import av

    from ezav.encoders.registry import load_audio, load_visual
    from ezav.extraction.batch import Forward

    av.logging.set_level(av.logging.PANIC)  # what matters is in the reason

    found: dict[str, Any] = {}
    for slot, one in wanted.items():
        if "forward" in one:
            found[slot] = Forward(slot, one["forward"], connection)
        else:
            load = load_visual if slot.startswith("visual") else load_audio
            found[slot] = load(one["name"], **one["options"])
    return found


def _limit_memory(extra: int) -> None:
    """Allow so many bytes of addresses on top of what the encoders take (Linux).

    Not with torch: it reserves addresses far beyond the memory it uses. The pool watches the
    memory in use in any case.
    """
    import resource

    if "torch" in sys.modules:
        return
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _alarm(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, _ORPHANED * seconds)


def _serve(
    request: dict[str, Any], encoders: dict[str, Any], use_damaged: bool, decoder: Decoder
) -> tuple[dict[str, Any], Arrays]:
    from ezav.extraction.encode import OUT_OF_MEMORY, UNREADABLE, EncodedClip, encode_slots

    try:
        return encode_slots(Path(request["path"]), encoders, use_damaged, decoder).message()
    except MemoryError:
        head, arrays = EncodedClip(status=UNREADABLE, reason=OUT_OF_MEMORY).message()
        return head | {"out_of_memory": True}, arrays
    except Exception as error:  # a decoder's surprise must not cost more than this clip
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return EncodedClip(status=UNREADABLE, reason=reason).message()


if __name__ == "__main__":
    main(int(sys.argv[1]))
