"""Generating the toy world: real mp4 files in class folders, with a manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ezav.errors import DamagedError, RefusedError
from ezav.features.toy.design import Parts, design_world, split_clips
from ezav.features.toy.picture import draw_frames
from ezav.features.toy.sound import make_sound
from ezav.safe_io import atomic_path, cache_folder, write_text
from ezav.small_files import parse_json, read_small

VERSION = 1
"""Change it whenever a clip would come out differently: cached worlds are then made again."""
CLASSES, CLIPS_PER_CLASS = 32, 24
FPS, RATE = 25, 16_000
_SECONDS = (2.0, 2.4)
_SIZES = ((128, 96), (112, 112), (96, 128), (144, 112), (160, 120))
"""Width × height in pixels, drawn for each clip."""
_SPEC_FILE = "toy.json"
_CLASS_FOLDER, _CLIP_FILE = re.compile(r"[\w -]+"), re.compile(r"\d{3,}\.mp4")
"""What the generator itself writes; nothing else is ever deleted."""


@dataclass(frozen=True, slots=True)
class ToyWorld:
    """A generated world on disk.

    Attributes:
        folder: `<class name>/<number>.mp4` and the manifest.
        manifest: CSV with the columns path (relative to the folder), class, split.
        classes: all class names, sorted.
        val_unseen, unseen: the classes unseen in stage 1 and in stage 2 (test).
    """

    folder: Path
    manifest: Path
    classes: tuple[str, ...]
    val_unseen: tuple[str, ...]
    unseen: tuple[str, ...]


def generate_toy_world(
    folder: str | Path | None = None,
    seed: int = 0,
    *,
    classes: int = CLASSES,
    clips_per_class: int = CLIPS_PER_CLASS,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> ToyWorld:
    """Make the toy world, or what is missing of it; a finished one is returned at once.

    Clips are 2–2.4 s of H.264 and AAC at 25 fps and 16 kHz, up to 160 pixels wide.

    Args:
        folder: where; None is the user's cache (see :func:`ezav.safe_io.cache_folder`).
        seed: another seed is another world.
        classes: number of classes, 6 to 48.
        clips_per_class: at least 3.
        workers: clips made at the same time.
        on_progress: called with (clips there, clips in all) after each clip.

    Raises:
        EzavError: the folder holds something else, or cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     world = generate_toy_world(folder, classes=6, clips_per_class=3)
        ...     len(world.classes), len(list(world.folder.glob("*/*.mp4")))
        (6, 18)
    """
    spec = {
        "version": VERSION,
        "seed": seed,
        "classes": classes,
        "clips_per_class": clips_per_class,
    }
    if folder is None:
        folder = cache_folder() / f"toy-{classes}x{clips_per_class}-seed{seed}"
    folder = Path(folder)
    design = design_world(classes, seed)
    clips = split_clips(design, clips_per_class)
    world = ToyWorld(
        folder,
        folder / "manifest.csv",
        tuple(parts.name for parts in design.classes),
        tuple(sorted(parts.name for parts in design.val_unseen)),
        tuple(sorted(parts.name for parts in design.test_unseen)),
    )
    _clear_another(folder, spec)
    if world.manifest.exists():
        return world
    write_text(folder / _SPEC_FILE, json.dumps({**spec, "names": world.classes}, indent=2))
    paths = [(parts, folder / clip_path(parts, number)) for parts, number, _ in clips]
    _write_missing(paths, seed, workers, on_progress)
    rows = [(clip_path(p, number), p.name, split) for p, number, split in clips]
    _write_manifest(world.manifest, rows)
    return world


def _write_missing(
    paths: Sequence[tuple[Parts, Path]],
    seed: int,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    missing = [(parts, path) for parts, path in paths if not path.exists()]
    there = len(paths) - len(missing)
    with ThreadPoolExecutor(workers) as pool:
        # Threads, not processes: drawing and encoding leave the interpreter lock alone.
        jobs = [pool.submit(write_clip, path, parts, seed) for parts, path in missing]
        try:
            for job in jobs:
                job.result()
                there += 1
                if on_progress is not None:
                    on_progress(there, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def clip_path(parts: Parts, number: int) -> str:
    """A clip's path inside the world's folder.

    Example:
        >>> clip_path(Parts("red", "square", "bouncing", "a low hum"), 7)
        'red square bouncing with a low hum/007.mp4'
    """
    return f"{parts.name}/{number:03d}.mp4"


def write_clip(path: Path, parts: Parts, seed: int) -> None:
    """Draw one clip and write it; the same seed and file name give the same clip."""
    key = hashlib.blake2b(f"{seed}/{parts.name}/{path.name}".encode(), digest_size=16).digest()
    draw = np.random.default_rng(int.from_bytes(key, "big"))
    width, height = _SIZES[draw.integers(len(_SIZES))]
    frames = round(draw.uniform(*_SECONDS) * FPS)
    video = draw_frames(parts, width, height, frames, FPS, draw)
    wave = make_sound(parts.sound, round(frames / FPS * RATE), RATE, draw)
    with atomic_path(path) as temporary:
        encode_mp4(temporary, video, wave)


def encode_mp4(path: Path, video: np.ndarray, wave: np.ndarray) -> None:
    """Write frames uint8 `[T, H, W, 3]` and a mono waveform float32 `[S]` as H.264 and AAC.

    There are `FPS` frames and `RATE` samples a second.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "grey.mp4")
        ...     encode_mp4(path, np.full((5, 16, 16, 3), 128, np.uint8), np.zeros(3200, np.float32))
        ...     path.read_bytes()[4:8]
        b'ftyp'
    """
    import av

    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=FPS)
        picture.height, picture.width = video.shape[1:3]
        picture.pix_fmt = "yuv420p"
        picture.options = {"preset": "ultrafast", "crf": "28"}
        picture.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        sound.bit_rate = 48_000
        for image in video:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for start in range(0, len(wave), 1024):
            block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))


def _clear_another(folder: Path, spec: dict[str, int]) -> None:
    """Make way for this world: remove a world of another version or size, refuse anything else."""
    found = _read_spec(folder / _SPEC_FILE)
    if found is None:
        if folder.exists() and any(folder.iterdir()):
            raise RefusedError(
                f"'{folder}' is not empty and is no toy world", "give an empty or a new folder"
            )
        return
    names = found.pop("names", None)
    if not _are_class_folders(names, folder):
        raise RefusedError(
            f"'{folder / _SPEC_FILE}' does not list the classes of a toy world",
            "give another folder, or delete this one if you do not need it",
        )
    if found == spec:
        return
    (folder / "manifest.csv").unlink(missing_ok=True)
    for name in names:
        for clip in (folder / name).glob("*.mp4"):
            if _CLIP_FILE.fullmatch(clip.name):
                clip.unlink()
        if (folder / name).is_dir() and not any((folder / name).iterdir()):
            (folder / name).rmdir()


def _read_spec(path: Path) -> dict[str, Any] | None:
    """What a world says of itself; None if nothing does."""
    if not path.exists():
        return None
    try:
        found = parse_json(read_small(path))
    except ValueError as error:
        raise DamagedError(f"'{path}' is damaged", "delete the folder and try again") from error
    return found if isinstance(found, dict) else None


def _are_class_folders(names: Any, folder: Path) -> bool:
    """Names in a file that anyone may have written lead nowhere but into the world's folder."""
    return isinstance(names, list) and all(
        isinstance(name, str)
        and _CLASS_FOLDER.fullmatch(name) is not None
        and not (folder / name).is_symlink()
        for name in names
    )


def _write_manifest(path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "class", "split"))
    table.writerows(rows)
    write_text(path, text.getvalue())
