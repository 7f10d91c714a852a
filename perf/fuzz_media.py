"""Small clips in many containers and codecs, changed and decoded as extraction does; for `fuzz.py`.

In forked workers with the limits of the other readers. A file may cost its worker time, memory or
its life, as it may a worker of extraction; those that did go through the product's pool of workers
at the end, which has to answer each and live on. Any error that the decoding did not foresee is a
finding, though the pool would call the clip unreadable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from tests.extraction.encoders import Level, MeanColour
from tests.media.files import sine, write_clip, write_wav

from ezav.encoders.spec import EncoderSpec
from ezav.extraction.encode import encode_slots
from ezav.extraction.encoded import slotted
from ezav.extraction.pool import WorkerPool
from ezav.extraction.reading import Reading
from fuzz_targets import Target
from fuzz_turns import Kept, in_turn
from fuzz_workers import COSTS, change, files_of

HERE = "tests.extraction.encoders"
KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "front.mp4": {"faststart": True},
    "turned.mp4": {"rotation": 90},
    "silent.mp4": {"tone": None},
    "h264.mkv": {},
    "h264.mov": {},
    "h264.ts": {},
    "h264.flv": {"rate": 22_050},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp8.mkv": {"codec": "libvpx"},
    "vp9.mkv": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1", "size": (64, 64)},
    "h265.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
}
FINE = {"ok": "read", "damaged": "damaged", "unreadable": "unreadable"}


def clips(root: Path) -> Path:
    """A folder `clips` of small valid files, as far as this build of FFmpeg writes them."""
    made = root / "media"
    if (made / "whole").exists():
        return made
    folder = made / CLIPS.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, how in KINDS.items():
        small = {"frames": 3, "size": (32, 32), "sound_seconds": 0.2, "rate": 16_000, **how}
        try:
            write_clip(folder / name, **small)
        except Exception as error:  # a codec that is not there
            (folder / name).unlink(missing_ok=True)
            print(f"not among the files: {name}: {error}", file=sys.stderr)
    tone = sine(440.0, 0.2, 16_000)[None]
    write_wav(folder / "tone.wav", np.repeat(tone, 2, 0), 16_000, "stereo")
    (made / "whole").touch()
    return made


@cache
def _encoders() -> dict[str, Any]:
    return slotted(MeanColour(), Level())


def _decode(_: Path, changed: Sequence[Path]) -> str:
    """What became of the last of the files."""
    status = ""
    for path in changed:
        clip = encode_slots(path, _encoders(), Reading()).checked()
        assert "\n" not in clip.reason, clip.reason
        status = FINE[clip.status]
    return status


CLIPS = Target("clips", ("*.*",), _decode, 100, costly=True)


def fuzz_media(arguments: argparse.Namespace, root: Path, room: Path) -> int:
    """Changed clips until the time is up; then those that cost a worker through the pool."""
    kept = Kept(root, clips(root), room)
    status = in_turn([CLIPS], arguments, kept)
    costs = root / COSTS
    seeds = [json.loads(line)["seed"] for line in costs.open()] if costs.exists() else []
    return _through_the_pool(seeds, kept) or status


def _through_the_pool(seeds: Sequence[int], kept: Kept) -> int:
    """Give some inputs to extraction's own workers; 1 where one is not answered."""
    folder = kept.room / "again"
    folder.mkdir()
    files, paths = files_of(CLIPS, kept.valid / CLIPS.folder), []
    for seed in seeds:
        for path in change(CLIPS, [(folder / path.name, data) for path, data in files], seed):
            paths.append(path.rename(folder / f"{seed}-{path.name}"))
    looks, sounds = EncoderSpec(f"{HERE}:MeanColour"), EncoderSpec(f"{HERE}:Level")
    before = psutil.Process().num_fds()
    with WorkerPool(looks, sounds, workers=1, reading=Reading(seconds=20.0, memory=1024)) as pool:
        found = {index: f"{clip.status}: {clip.reason}" for index, clip in pool.encode(paths)}
    for index, said in sorted(found.items()):
        print(f"{paths[index].name} through the pool: {said}")
    wrong = set(found) != set(range(len(paths))) or psutil.Process().num_fds() > before
    print(f"{len(paths)} files went through the pool: {'WRONG' if wrong else 'each was answered'}")
    return int(wrong)
