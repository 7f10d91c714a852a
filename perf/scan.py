"""Events of joined clips and of mixtures of sound against the truth, as `ezav scan` tells them.

For every split unseen classes are drawn anew, the default run is trained and written, and its test
clips are joined in an order without two of a class in a row: a film of as many events as clips. In
the mixture the sound of a second such film lies over the first one's, at half the level each; what
it adds can only be heard. Both are encoded again (H.264, PCM) and scanned from the file.

    python perf/scan.py STORE VIDEOS --splits 4
    python perf/scan.py STORE --splits 8

Without VIDEOS the films are made of the store's tokens, and a mixture's scores are the means of
those of a film's two halves.

Told are means over splits, ± their standard error, of event F1 (mean over classes), precision and
recall at an overlap (IoU) of 0.5. STORE was extracted from VIDEOS; its clips are paths in there.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ezav.extraction.encoded import EncodedClip
from ezav.features import FeatureStore
from ezav.features.redraw import redrawn
from ezav.metrics.events import EventScores, Span, event_scores
from ezav.protocol import write_run
from ezav.protocol.cut import Cut
from ezav.protocol.films import Held, joined
from ezav.protocol.scanning import CHANGES, scored, several_f1, single_f1
from ezav.protocol.stages import relabel
from ezav.recipes import protocol_for
from ezav.recognizer import Recognizer
from ezav.recognizer.events import ScanSettings

RATE, SIZE = 32_000, (320, 240)
BEFORE = ScanSettings(window=2.0, change=4.0)
CHOSE = "as the run chose"
SETTINGS = {
    "window 2, change 4": BEFORE,
    CHOSE: ScanSettings(),
    f"{CHOSE}, --several": ScanSettings(several=True),
}
Clip = tuple[Path, str]
Film = tuple[Path, list[Span]]


class Kept:
    """A recogniser's reader that encodes each film once for each length of windows."""

    def __init__(self, reader: Any) -> None:
        self.reader, self.known = reader, dict[tuple[object, ...], list[EncodedClip]]()

    def windows(self, *asked: Any) -> Iterator[EncodedClip]:
        if asked not in self.known:
            self.known[asked] = list(self.reader.windows(*asked))
        yield from self.known[asked]

    def close(self) -> None:
        self.reader.close()


def order(clips: Iterable[Clip], draw: random.Random, most: int) -> list[Clip]:
    """Classes in turn, each turn in an order of its own; no class twice in a row."""
    of: dict[str, list[Clip]] = {}
    for one in clips:
        of.setdefault(one[1], []).append(one)
    for some in of.values():
        draw.shuffle(some)
    found: list[Clip] = []
    while any(of.values()) and len(found) < most:
        turn = [some.pop() for _, some in sorted(of.items()) if some]
        draw.shuffle(turn)
        found += [one for one in turn if not found or found[-1][1] != one[1]]
    return found[:most]


def decoded(clip: Path) -> tuple[list[tuple[float, Any]], np.ndarray, float]:
    """Pictures with their times, sound (empty where there is none), and seconds."""
    pictures, sound = [], [np.zeros(0, np.float32)]
    with av.open(str(clip)) as source:
        if source.streams.video:
            for frame in source.decode(video=0):
                pictures.append((frame.time or 0.0, frame.reformat(*SIZE, format="yuv420p")))
        source.seek(0)
        if source.streams.audio:
            to_mono = av.AudioResampler("flt", "mono", RATE)
            for heard in source.decode(audio=0):
                sound += [one.to_ndarray()[0] for one in to_mono.resample(heard)]
    samples = np.concatenate(sound)
    ends = pictures[-1][0] + 1 / 25 if pictures else 0.0
    return pictures, samples, max(ends, len(samples) / RATE)


def strung(clips: Sequence[Clip]) -> tuple[list[tuple[float, Any]], np.ndarray, list[Span]]:
    """Pictures and sound of clips one after the other, and what is when."""
    pictures, sound, spans, now = [], [], list[Span](), 0.0
    for path, name in clips:
        shown, heard, seconds = decoded(path)
        pictures += [(now + time, frame) for time, frame in shown]
        part = np.zeros(round((now + seconds) * RATE) - sum(map(len, sound)), np.float32)
        part[: len(heard)] = heard[: len(part)]
        sound.append(part)
        spans.append(Span(now, now + seconds, name))
        now += seconds
    return pictures, np.concatenate(sound), spans


def write(out: Path, pictures: list[tuple[float, Any]], sound: np.ndarray) -> Path:
    with av.open(str(out), "w", format="matroska") as film:
        video: Any = film.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio: Any = film.add_stream("pcm_s16le", rate=RATE, layout="mono")
        last, block, done = -1, RATE // 10, 0
        for time, frame in [*pictures, (math.inf, None)]:
            while done < len(sound) and done / RATE <= time:
                part = np.clip(sound[done : done + block], -1, 1)
                heard = av.AudioFrame.from_ndarray(
                    (part * 32767).astype(np.int16)[None], format="s16", layout="mono"
                )
                heard.pts, heard.rate, heard.time_base = done, RATE, Fraction(1, RATE)
                film.mux(audio.encode(heard))
                done += block
            if frame is not None:
                last = frame.pts = max(last + 1, round(time * 1000))
                frame.time_base = Fraction(1, 1000)
                film.mux(video.encode(frame))
        film.mux(video.encode())
        film.mux(audio.encode())
    return out


def films(store: FeatureStore, videos: Path, seed: int, most: int, folder: Path) -> list[Film]:
    """The joined test clips, and the mixture."""
    clips, draw = store.select("test_seen", "test_unseen"), random.Random(seed)
    every = [(videos / c, clips.classes[r]) for c, r in zip(clips.clips, clips.labels.tolist())]
    heard = [one for one, n in zip(every, clips.audio.lengths.tolist()) if n]
    pictures, sound, spans = strung(order(every, draw, most))
    plain = write(folder / "joined.mkv", pictures, sound)
    _, other, added = strung(order(heard, draw, most))
    end = len(sound) / RATE
    other = np.pad(other, (0, max(0, len(sound) - len(other))))[: len(sound)]
    mixture = write(folder / "mixture.mkv", pictures, (sound + other) / 2)
    added = [Span(a, min(b, end), name) for a, b, name in added if a < end - 1]
    return [(plain, spans), (mixture, united([*spans, *added]))]


def united(spans: Sequence[Span]) -> list[Span]:
    """Events of one class that overlap or touch are one."""
    found: list[Span] = []
    for one in sorted(spans, key=lambda span: (str(span.name), span.start)):
        if found and found[-1].name == one.name and found[-1].end >= one.start - 1e-6:
            found[-1] = found[-1]._replace(end=max(found[-1].end, one.end))
        else:
            found.append(one)
    return found


def judged(recognizer: Recognizer, film: Film, settings: ScanSettings) -> EventScores:
    told = [Span(one.start, one.end, one.name) for one in recognizer.scan(film[0], None, settings)]
    return event_scores([(film[1], told)])


def of_media(
    recognizer: Recognizer, made: Sequence[Film]
) -> Iterator[tuple[str, str, EventScores]]:
    recognizer.reader = Kept(recognizer.reader)  # type: ignore[assignment]
    for film in made:
        for name, settings in SETTINGS.items():
            yield film[0].stem, name, judged(recognizer, film, settings)


def of_features(recognizer: Recognizer, store: FeatureStore) -> Iterator[tuple[str, str, float]]:
    model, calibration = recognizer.model, recognizer.calibration
    clips = relabel(store.select("test_seen", "test_unseen"), list(model.classes.names))
    films, cut = joined([Held(model, clips)]), calibration.cut
    assert cut is not None
    for name, (window, change) in {"window 2, change 4": (2.0, 4.0), CHOSE: cut_of(cut)}.items():
        kinds = zip(("joined", "mixture"), scored(films, window, calibration))
        for kind, some in kinds:
            yield kind, name, single_f1(some, window, calibration)[CHANGES.index(change)]
            if name == CHOSE:
                each = several_f1(some, window, calibration, model.classes.names)
                yield kind, f"{CHOSE}, --several", each[CHANGES.index(cut.change_several)]


def cut_of(cut: Cut) -> tuple[float, float]:
    return cut.window, cut.change


def mean(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):.1%} ± {error:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("videos", type=Path, nargs="?")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--unseen", type=float, default=0.25, help="share of the classes")
    parser.add_argument("--clips", type=int, default=40, help="of a film, at most")
    asked = parser.parse_args()
    store = FeatureStore.open(asked.store)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in range(asked.splits):
        unseen = random.Random(seed).sample(store.classes, round(asked.unseen * len(store.classes)))
        split = redrawn(store, unseen=unseen)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_run(protocol_for("best", split, seed=seed).fit(split), folder / "run")
            with Recognizer.load(folder / "run") as recognizer:
                print(f"split {seed}: {recognizer.calibration.cut}", flush=True)
                told: Iterable[tuple[str, str, Any]] = of_features(recognizer, split)
                if asked.videos is not None:
                    made = films(split, asked.videos, seed, asked.clips, folder)
                    told = of_media(recognizer, made)
                for film, name, one in told:
                    row = (one.f1, one.precision, one.recall) if asked.videos else (one,)
                    found.setdefault((film, name), []).append(row)
                    print(f"  {film}, {name}: " + " ".join(f"{x:.1%}" for x in row), flush=True)
    rest = " precision | recall |" if asked.videos else ""
    print(f"\n| film | scan | event F1 | more than before |{rest}")
    print("|---|---|--:|--:|" + "--:|--:|" * bool(rest))
    for (film, name), rows in found.items():
        before = [row[0] for row in found[film, "window 2, change 4"]]
        more = [row[0] - other for row, other in zip(rows, before)]
        numbers = [[row[0] for row in rows], more]
        numbers += [[row[at] for row in rows] for at in range(1, len(rows[0]))]
        print(f"| {film} | {name} | " + " | ".join(map(mean, numbers)) + " |")


if __name__ == "__main__":
    main()
