"""A day in the life, compressed: what runs for long stays as small as it was, and is not wrong.

    python perf/endurance.py extract [--clips 2000] [--kill-every 5]
    python perf/endurance.py serve   [--visitors 50] [--seconds 300]
    python perf/endurance.py scan    [--hours 12]
    python perf/endurance.py find    [--moments 50000]
    python perf/endurance.py bench   [--times 50]

Each prints what the process and its children hold (memory, open files, threads, processes,
temporary files) at the beginning, on the way and at the end, and ends with an error where a result
differs from an undisturbed one.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from tests.media.files import write_clip

from small_world import ENCODERS, make

BOUND = 1.25
"""Memory at the end, of that in the middle; more is a leak."""


class Held:
    """What this process and its children hold, noted now and then."""

    def __init__(self, folder: Path, every: float) -> None:
        self.rows: list[tuple[float, ...]] = []
        self._folder, self._every, self._over = folder, every, threading.Event()
        self._begun = time.monotonic()

    def note(self) -> None:
        """One row: seconds, MiB, MiB of the children, files, threads, processes, temporary ones."""
        me = psutil.Process()
        memory, count = 0, 0
        for child in me.children(recursive=True):
            try:
                memory, count = memory + child.memory_info().rss, count + 1
            except psutil.Error:
                continue
        own = me.memory_info().rss >> 20
        temporary = sum(1 for _ in self._folder.rglob("*"))
        seconds = time.monotonic() - self._begun
        self.rows.append(
            (seconds, own, memory >> 20, me.num_fds(), me.num_threads(), count, temporary)
        )

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note at the beginning, every so many seconds, and at the end."""

        def run() -> None:
            while not self._over.wait(self._every):
                self.note()

        self.note()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.note()

    def show(self, what: str) -> None:
        """The table, and an error where memory grew from the middle to the end."""
        print(f"{what}\n| | s | MiB | MiB of children | files | threads | processes | temporary |")
        print("|---|---|---|---|---|---|---|---|")
        quarter = self.rows[max(1, len(self.rows) // 4)]
        middle, late = self.rows[len(self.rows) // 2], self.rows[-2]
        named = ("begin", self.rows[0]), ("a quarter", quarter), ("middle", middle)
        for name, row in (*named, ("late", late), ("end", self.rows[-1])):
            print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in row) + " |")
        sys.stdout.flush()
        if late[1] > BOUND * middle[1] or late[3] > middle[3] + 20 or late[4] > middle[4] + 20:
            raise SystemExit("something grows")


def extract_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """Small clips, some hostile, workers killed now and then; as an undisturbed extraction."""
    from ezav.extraction import extract
    from ezav.extraction.settings import ExtractSettings
    from ezav.features import FeatureStore

    draw = random.Random(0)
    kinds = [root / f"kind-{number}.mp4" for number in range(20)]
    for number, path in enumerate(kinds):
        write_clip(path, frames=4, tone=200.0 + 40 * number, rate=8_000)
    for number in range(arguments.clips):
        path = root / "videos" / f"class {number % 5}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = kinds[number % 20].read_bytes()
        if number % 50 == 7:  # 2 % hostile: cut, turned, or nonsense
            data = draw.choice((data[: len(data) // 2], draw.randbytes(2000), b"", data[::-1]))
        path.write_bytes(data)
    how = {"visual": ENCODERS[1], "audio": ENCODERS[3], "text": ENCODERS[5], "workers": 2}
    quiet = extract(root / "videos", root / "quiet", **how)  # type: ignore[arg-type]
    over, started = threading.Event(), threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        while not over.wait(arguments.kill_every):
            workers = psutil.Process().children(recursive=True)
            if started.is_set() and workers:  # the oldest: none that is just beginning
                min(workers, key=lambda one: one.create_time()).kill()
                killed += 1

    threading.Thread(target=kill, daemon=True).start()
    (root / "tmp").mkdir()
    tempfile.tempdir = str(root / "tmp")
    held = Held(root / "tmp", arguments.every)
    with held.noting():
        noisy = extract(
            root / "videos",
            root / "noisy",
            on_progress=lambda _: started.set(),
            **how,  # type: ignore[arg-type]
        )
    over.set()
    if noisy.fingerprint != quiet.fingerprint:  # a clip may lose two workers in a row: try again
        again = ExtractSettings(retry=True)
        extract(root / "videos", root / "noisy", settings=again, **how)  # type: ignore[arg-type]
    same = FeatureStore.open(root / "noisy").fingerprint == quiet.fingerprint
    failed = FeatureStore.open(root / "quiet").contents.unreadable
    held.show(f"extract: {arguments.clips} clips, {failed} unreadable, {killed} workers killed")
    print(f"as undisturbed at once: {noisy.fingerprint == quiet.fingerprint}, at the end: {same}")
    if not same:
        raise SystemExit("the stores differ")


def _visit(
    address: tuple[str, int], clip: bytes, seed: int, over: threading.Event, seen: Counter[str]
) -> None:
    draw = random.Random(seed)
    asked = "/api/predict?name=a.mp4&class=red+light&class=blue+light"
    while not over.is_set():
        body = clip
        kind = draw.choice(("whole", "whole", "whole", "cancelled", "slow", "wrong", "refresh"))
        mine = f"127.0.0.{2 + seed % 250}", 0  # visitors of one address share its limits
        connection = http.client.HTTPConnection(*address, timeout=120, source_address=mine)
        try:
            if kind == "refresh":
                connection.request("GET", "/")
                seen[f"{kind}: {connection.getresponse().status}"] += 1
                continue
            if kind == "wrong":
                body = draw.randbytes(5000)
            connection.putrequest("POST", asked)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if kind == "cancelled":
                connection.send(body[: len(body) // 2])
                seen[kind] += 1
                continue
            for at in range(0, len(body), 1 << 12):
                connection.send(body[at : at + (1 << 12)])
                if kind == "slow":
                    time.sleep(0.2)
            answer = connection.getresponse()
            answer.read()
            seen[f"{kind}: {answer.status}"] += 1
        except (OSError, http.client.HTTPException, ValueError) as error:
            seen[f"{kind}: {type(error).__name__}"] += 1
        finally:
            connection.close()
        over.wait(draw.uniform(0, 2))


def serve_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """Visitors who upload, cancel, are slow or wrong, and look again."""
    world = make(root)
    from ezav.recognizer import Recognizer
    from ezav.web.server import serving
    from ezav.web.settings import WebSettings

    (root / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = str(root / "tmp")
    clip = (world / "recordings" / "a.mp4").read_bytes()
    over, seen = threading.Event(), Counter[str]()
    settings = WebSettings(port=0, max_seconds=20, max_megabytes=2, keep_minutes=0.5)
    recognizer = Recognizer.load(world / "run", import_code=True)
    held = Held(root / "tmp", arguments.every)
    with serving(recognizer, settings) as address:
        told = urllib.parse.urlsplit(address)
        where = (str(told.hostname), int(told.port or 0))
        visitors = [
            threading.Thread(target=_visit, args=(where, clip, n, over, seen), daemon=True)
            for n in range(arguments.visitors)
        ]
        for one in visitors:
            one.start()
        time.sleep(min(20, arguments.seconds / 4))
        with held.noting():
            time.sleep(arguments.seconds)
        over.set()
        for one in visitors:
            one.join(130)
    recognizer.close()
    held.note()
    held.show(f"serve: {arguments.visitors} visitors, {arguments.seconds:.0f} s: {dict(seen)}")
    if list((root / "tmp").glob("ezav-serve-*")):
        raise SystemExit("the folder of uploads is still there")


def scan_for_long(arguments: argparse.Namespace, root: Path) -> None:
    """A recording of hours: memory as of one of minutes, and the events where they are."""
    world = make(root)
    from tests.recognizer import small_run

    from ezav.recognizer import Recognizer
    from ezav.recognizer.events import ScanSettings
    from ezav.recognizer.scan import scan

    lights = ["blue light", "red light", "white light", "green light"]
    piece = small_run.write_video(root / "piece.mp4", lights, seconds=15)
    whole = root / "whole.mkv"
    loops = round(arguments.hours * 60) - 1
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-stream_loop", str(loops), "-i", str(piece),
         "-c", "copy", str(whole)], check=True,
    )  # fmt: skip
    held = Held(root / "none", arguments.every)
    recognizer = Recognizer.load(world / "run", import_code=True)
    settings = ScanSettings(window=10.0, hop=10.0)
    with recognizer, held.noting():
        events = list(scan(recognizer, whole, settings=settings))
    held.show(f"scan: {arguments.hours:g} hours, {len(events)} events")
    print(f"the last event ends at {max(event.end for event in events) / 3600:.2f} h")


def find_among_many(arguments: argparse.Namespace, root: Path) -> None:
    """Exact search against an HNSW graph: milliseconds, recall, and what the graph costs."""
    import numpy as np
    import torch
    from usearch.index import Index

    from ezav.library.vectors import Vectors

    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(2000, arguments.dim, generator=draw)
    print("| moments | exact, ms | HNSW, ms | recall at 10 | to build, s | MiB of vectors |")
    print("|---|---|---|---|---|---|")
    count = arguments.moments
    while count <= arguments.most:
        which = torch.randint(len(centres), (count,), generator=draw)
        values = centres[which] + 0.7 * torch.randn(count, arguments.dim, generator=draw)
        values = torch.nn.functional.normalize(values, dim=1).half()
        kept = Vectors(torch.arange(count), torch.zeros(count, 2).double(), values)
        queries = [centres[n] + 0.7 * torch.randn(arguments.dim, generator=draw) for n in range(20)]
        kept.nearest(queries[0], 80)
        begun = time.perf_counter()
        exact = [kept.nearest(query, 80)[0][:10] for query in queries]
        slow = (time.perf_counter() - begun) / len(queries)
        begun = time.perf_counter()
        graph = Index(ndim=arguments.dim, metric="ip", dtype="f16")
        graph.add(np.arange(count), values.numpy(), threads=1)
        built = time.perf_counter() - begun
        begun = time.perf_counter()
        near = [graph.search(query.half().numpy(), 80).keys[:10].tolist() for query in queries]
        quick = (time.perf_counter() - begun) / len(queries)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, near)])
        size = values.numel() * 2 >> 20
        print(
            f"| {count:,} | {1000 * slow:.1f} | {1000 * quick:.2f} | {recall:.2f} | {built:.0f} "
            f"| {size} |",
            flush=True,
        )
        count *= 10


def bench_interrupted(arguments: argparse.Namespace, root: Path) -> None:
    """A small bench, killed again and again: its table is that of one that was left alone."""
    world = make(root)
    from ezav.cli.main import main

    words = ["bench", str(world / "store"), "--methods", "eszsl", "devise", "--epochs", "2"]
    words += ["--batches-per-epoch", "5", "--seeds", "4", "--processes", "1", "--out"]
    assert main([*words, str(root / "quiet")]) == 0
    draw, killed, rounds = random.Random(0), 0, 0
    while killed < arguments.times:
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os._exit(main([*words, str(root / "killed")]))
        time.sleep(draw.uniform(0.1, arguments.longest))
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, status
            _same_tables(root)
            shutil.rmtree(root / "killed")
            rounds += 1
            continue
        os.kill(child, draw.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
        os.waitpid(child, 0)
        killed += 1
    assert main([*words, str(root / "killed")]) == 0
    _same_tables(root)
    litter = [path for path in (root / "killed").rglob(".*") if path.is_file()]
    print(f"bench: {killed} interruptions, {rounds + 1} finished, tables equal; litter: {litter}")


def _same_tables(root: Path) -> None:
    one, other = (root / name / "results.csv" for name in ("quiet", "killed"))
    assert _numbers(one) == _numbers(other), "the tables differ"


def _numbers(path: Path) -> list[str]:
    """The rows, without what a clock says."""
    head, *rows = path.read_text().splitlines()
    timed = [at for at, name in enumerate(head.split(",")) if "second" in name]
    return [
        ",".join(cell for at, cell in enumerate(row.split(",")) if at not in timed) for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--every", type=float, default=2.0, help="seconds from note to note")
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("extract")
    one.add_argument("--clips", type=int, default=2000)
    one.add_argument("--kill-every", type=float, default=5.0)
    one = verbs.add_parser("serve")
    one.add_argument("--visitors", type=int, default=50)
    one.add_argument("--seconds", type=float, default=300)
    verbs.add_parser("scan").add_argument("--hours", type=float, default=12)
    one = verbs.add_parser("find")
    one.add_argument("--moments", type=int, default=50_000, help="then ten times more, to --most")
    one.add_argument("--most", type=int, default=500_000)
    one.add_argument("--dim", type=int, default=384)
    one = verbs.add_parser("bench")
    one.add_argument("--times", type=int, default=50)
    one.add_argument("--longest", type=float, default=3.0, help="seconds until it is interrupted")
    arguments = parser.parse_args()
    doing = {
        "extract": extract_for_long,
        "serve": serve_for_long,
        "scan": scan_for_long,
        "find": find_among_many,
        "bench": bench_interrupted,
    }
    with tempfile.TemporaryDirectory() as temporary:
        doing[arguments.verb](arguments, Path(temporary))


if __name__ == "__main__":
    main()
