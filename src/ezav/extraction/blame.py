"""Whose fault is it: clips that an encoder cannot take, or an encoder that takes no clip?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ezav.errors import EzavError
from ezav.extraction.encoded import EncodedClip

_SUSPECTS = 3
"""So many clips on which an encoder fails, and none that it took in this call, are an error."""


def encoders_work(
    encoded: Iterator[tuple[int, EncodedClip]], again: Collection[int], proven: Collection[str]
) -> Iterator[tuple[int, EncodedClip]]:
    """Pass the clips on; but an encoder that fails on all of them is an error, not their fault.

    Args:
        encoded: the clips of this call.
        again: those that failed before: that they do again says nothing of the encoders.
        proven: slots of the encoders that have worked on others in an earlier call: a clip or two
            on which they fail, and no more in this call, are to blame themselves.

    Raises:
        EzavError: an encoder failed on the first clips; nothing is recorded of them.

    Example:
        >>> bad = EncodedClip(failed={"audio": "'x' failed: no weights"})
        >>> list(encoders_work(iter([(0, bad)]), (), ()))
        Traceback (most recent call last):
        ...
        ezav.errors.EzavError: an encoder does not work: 'x' failed: no weights ...
    """
    worked: set[str] = set()
    suspects: list[tuple[int, EncodedClip]] = []
    for index, clip in encoded:
        worked |= clip.tokens.keys()
        if index not in again:
            suspects.append((index, clip))
        else:
            yield index, clip
        yield from (one for one in suspects if one[1].failed.keys() <= worked)
        suspects = [one for one in suspects if not one[1].failed.keys() <= worked]
        _check_suspects(suspects, worked, _SUSPECTS, proven)
    _check_suspects(suspects, worked | set(proven), 1, proven)
    yield from suspects


def _check_suspects(
    suspects: Sequence[tuple[int, EncodedClip]],
    trusted: Collection[str],
    most: int,
    proven: Collection[str],
) -> None:
    """Raise if an encoder that is not trusted has failed on so many clips."""
    blamed: dict[str, list[EncodedClip]] = {}
    for _, clip in suspects:
        for slot in clip.failed.keys() - trusted:
            blamed.setdefault(slot, []).append(clip)
    for slot, clips in blamed.items():
        if len(clips) >= most:
            raise _does_not_work(clips[0], slot, slot in proven)


def _does_not_work(clip: EncodedClip, slot: str, proven: bool) -> EzavError:
    # A store that has features takes no other encoder.
    way = (
        "mend it, or take away the clips that it cannot take"
        if proven
        else "mend it or choose another"
    )
    return EzavError(
        f"an encoder does not work: {clip.failed[slot]} (clip '{clip.path}')",
        f"{way}; these clips were not recorded",
    )
