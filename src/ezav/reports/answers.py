"""What a run says of its test clips, one clip of each class, as a page of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ezav.media import FrameSpec, read_clip
from ezav.reports.contact_sheet import Answer, Group, Tile, write_contact_sheet
from ezav.reports.media_files import MediaFiles
from ezav.reports.runs import Run
from ezav.reports.thumbnails import thumbnails

MOST = 48
"""Tiles on the page."""
_FRAMES = FrameSpec.uniform(4, short_side=96)
_RATE = 16_000
_TITLES = {
    False: "Classes that it was never trained on: {right} of {shown} right",
    True: "Classes that it was trained on: {right} of {shown} right",
}


def write_answers(
    run: str | Path,
    out: str | Path,
    *,
    store: str | Path | None = None,
    videos: str | Path | None = None,
) -> Path:
    """Write a page with one test clip of each class: what it was called, and what it is.

    A class's clip is its first one, whatever was said of it; the answers are the stored ones, of
    the test of the run.

    Args:
        run: a run folder.
        out: the HTML file.
        store, videos: where the clips' files are, as for :func:`ezav.reports.write_report`.

    Returns:
        `out`.

    Raises:
        EzavError: no run, a damaged one, a store of another run, or a place that cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     html = write_answers(runs / "ez-0", Path(folder, "answers.html")).read_text()
        >>> html.count('class="tile right"') + html.count('class="tile wrong"')
        8
    """
    read = Run.read(run)
    fingerprint, unseen = read.result.store_fingerprint, read.result.candidates["unseen"]
    find = MediaFiles.open(store, videos, {fingerprint: unseen}).finder(fingerprint)
    test, said = read.test, read.predictions
    groups = []
    for seen in (False, True):
        rows = _first_clips(read, seen)
        tiles = []
        for row in rows:
            path = find(test.clips[row]) if find else None
            tiles.append(_tile(read, row, path))
        right = sum(tile.right is True for tile in tiles)
        title = _TITLES[seen].format(right=right, shown=len(tiles))
        groups.append(Group(tiles=tiles, title=title))
    right, whole = int((said == test.targets).sum()), len(test.clips)
    shown = sum(len(group.tiles) for group in groups)
    return write_contact_sheet(
        out,
        [group for group in groups if group.tiles],
        title=f"What {read.result.label or read.result.method} says of clips it never saw",
        lead=f"{shown} of the {whole} test clips of {read.result.dataset}, always the first of its "
        f"class, whatever is said of it. All {len(test.classes)} classes are candidates. Of all "
        f"{whole} clips {right} are right ({right / max(whole, 1):.0%}).",
    )


def _first_clips(run: Run, seen: bool) -> Sequence[int]:
    """Rows of the first clip of each class of a side; of too many classes an even choice."""
    test = run.test
    first: dict[int, int] = {}
    for row, target in enumerate(test.targets.tolist()):
        if bool(test.seen[target]) == seen:
            first.setdefault(target, row)
    rows = [first[target] for target in sorted(first)]
    most = MOST // 2
    if len(rows) <= most:
        return rows
    return [rows[at * len(rows) // most] for at in range(most)]


def _tile(run: Run, row: int, path: Path | None) -> Tile:
    test = run.test

    def named(target: int) -> Answer:
        kind = "seen" if bool(test.seen[target]) else "unseen"
        return Answer(name=test.classes[target], kind=kind)

    images = thumbnails(read_clip(path, video=_FRAMES, audio=_RATE)) if path else ()
    return Tile(
        clip=test.clips[row],
        answers=(named(int(run.predictions[row])),),
        truth=named(int(test.targets[row])),
        images=images,
    )
