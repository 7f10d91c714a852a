"""What is in media files, as ezav reads them: `python -m ezav.media FILE…` (or folders).

Prints a table in Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ezav.media.clip import Clip, FrameSpec
from ezav.media.collect import seconds
from ezav.media.read import read_clip

_FIRST = FrameSpec.uniform(1)


def main(names: list[str]) -> int:
    """Print the table, one row a file; status 1 if nothing could be read from any of them."""
    if not names:
        print("usage: python -m ezav.media FILE...")
        return 2
    files: list[Path] = []
    for name in names:
        path = Path(name)
        files += sorted(p for p in path.iterdir() if p.suffix != ".md") if path.is_dir() else [path]
    rows: list[tuple[str, ...]] = [("file", "frames", "shown as", "sound", "status", "reason")]
    statuses = []
    for file in files:
        clip = read_clip(file, video=_FIRST, audio=16_000)
        statuses.append(clip.status)
        rows.append(row(file, clip))
    widths = [max(len(line[column]) for line in rows) for column in range(5)]
    rows.insert(1, (*("-" * width for width in widths), "------"))
    for line in rows:
        cells = [cell.replace("|", "/").ljust(width) for cell, width in zip(line, (*widths, 0))]
        print(f"| {' | '.join(cells)} |")
    return int(all(status == "failed" for status in statuses))


def row(file: Path, clip: Clip) -> tuple[str, str, str, str, str, str]:
    """File, frames decoded, size as shown, sound, status, reason."""
    size = sound = "-"
    if clip.frames is not None:
        height, width = clip.frames.images.shape[1:3]
        size = f"{width}×{height}"
    if clip.waveform is not None:
        late = f" from {seconds(clip.waveform.start)}" if clip.waveform.start > 0.1 else ""
        sound = seconds(clip.waveform.duration) + late
    reasons = [clip.reason]
    if clip.status != "failed":
        reasons = [clip.video_missing, clip.audio_missing, clip.reason]
    frames = str(clip.frames_decoded or "-")
    return file.name, frames, size, sound, clip.status, "; ".join(r for r in reasons if r)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
