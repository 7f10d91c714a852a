"""Mutated inputs over every reader of files: each is read, or refused with one line.

    python perf/fuzz.py files [--seconds 600] [--targets store run …] [--from 0]
    python perf/fuzz.py one TARGET SEED          the same input again, with its traceback
    python perf/fuzz.py media [--count 1000]     through the workers of extraction
    python perf/fuzz.py http [--seconds 60]      bodies and heads of the page

Readers run in forked workers with limits on memory and time and with an eye (an audit hook) on
what they open, start and import. A finding is any other error than `EzavError`, a crash, more than
`SECONDS` for one input, the import of a module that only the input names, a process, a connection
or a write outside. The last line is the table; status 1 where there are findings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ezav.errors import EzavError
from fuzz_mutations import CANARY, mutated
from small_world import make

SECONDS = 20
MEMORY = 3 << 30
"""Of address space, above what a worker has when it begins."""
CHUNK = 2000
READ = "read to the end"


@dataclass(frozen=True)
class Target:
    """A kind of files: a folder of valid ones, which of them are changed, and what reads them."""

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], Any]
    unchecked: bool = False
    """Digests are not compared: whoever changes a file can write them anew."""


def _read_store(folder: Path) -> None:
    from ezav.checking import at_a_glance
    from ezav.features import FeatureStore
    from ezav.features.redraw import redrawn
    from ezav.features.verify import verify_store

    verify_store(folder)
    store = FeatureStore.open(folder)
    store.class_embeddings()
    store.select("train")
    at_a_glance(store)
    redrawn(store, ())


def _resume_store(folder: Path) -> None:
    from ezav.extraction.resume import changed_files
    from ezav.features import StoreWriter
    from ezav.features.header import parse_header

    header = parse_header((folder / "given.json").read_bytes(), folder / "given.json")
    with StoreWriter(folder, header) as writer:
        changed_files(folder, writer.records, {})


def _read_run(folder: Path) -> None:
    from ezav.protocol.run_folder import read_evaluation_file
    from ezav.protocol.verify import verify_run
    from ezav.recognizer import Recognizer

    verify_run(folder)
    read_evaluation_file(folder / "test.safetensors")
    from ezav.recognizer.card import card_text

    with Recognizer.load(folder) as found:
        card_text(found.trained)


def _read_reported(folder: Path) -> None:
    from ezav.reports.runs import Run
    from ezav.reports.summary import notes, summary_rows

    run = Run.read(folder)
    assert run.predictions is not None
    assert run.text is not None
    assert run.classes is not None
    notes(summary_rows([run.result]))


def _read_recipe(folder: Path) -> None:
    from ezav.benchmarks.space import read_space
    from ezav.features import FeatureStore
    from ezav.recipes import load_recipe, protocol_for

    for name in ("space.yaml", "recipe.yaml"):
        (read_space if name == "space.yaml" else load_recipe)(folder / name)
    protocol_for(str(folder / "recipe.yaml"), FeatureStore.open(folder / "store"))


def _read_manifests(folder: Path) -> None:
    from ezav.answers.media import media_files
    from ezav.extraction.listing import list_videos
    from ezav.features.sources import read_sources

    for read in (
        lambda: list_videos(folder / "clips.csv", groups=["tape"]),
        lambda: media_files([folder / "clips.csv"]),
        lambda: read_sources(folder / "clips.csv", ("tape",)),
    ):
        try:
            read()
        except EzavError:
            continue


def _read_pickles(folder: Path) -> None:
    from ezav.data_pickle import load_data_npy, load_data_pickle

    for path in folder.iterdir():
        try:
            (load_data_npy if path.suffix == ".npy" else load_data_pickle)(path)
        except EzavError:
            continue


def _import(layout: str, dataset: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from ezav.features.importers import import_features

        out = folder.parent / "imported"
        shutil.rmtree(out, ignore_errors=True)
        warnings.simplefilter("ignore")
        import_features(layout, folder, out, dataset=dataset, setting="cls")  # type: ignore[arg-type]

    return read


def _read_descriptions(folder: Path) -> None:
    from ezav.encoders.descriptions import read_descriptions

    for path in folder.iterdir():
        try:
            read_descriptions(path)
        except EzavError:
            continue


def _read_answers(folder: Path) -> None:
    from ezav.answers import correct, corrections
    from ezav.answers.journal import Journal
    from ezav.answers.row import answer_of  # noqa: F401

    for path in sorted(folder.glob("a.*")):
        try:
            if path.suffix == ".journal":
                Journal(path, "one list").close()
                continue
            corrections(path)
            correct(path, {"a.mp4": "dog"})
        except EzavError:
            continue


def _read_index(folder: Path) -> None:
    import torch

    from ezav.answers.journal import Journal
    from ezav.library.index import Recording
    from ezav.library.vectors import _read as read_vectors
    from ezav.library.windows import read_pictures, read_windows

    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".journal":
                with Journal(path, "any", what="recordings", drop=False) as journal:
                    [Recording.of(one) for one in journal.entries.values()]
            elif path.parent.name == "windows":
                read_windows(path)
                read_pictures(path, 0)
            elif path.suffix == ".safetensors" and (found := read_vectors(path)) is not None:
                found.nearest(torch.zeros(found.values.shape[1]), 3)
        except EzavError:
            continue


def _read_taught(folder: Path) -> None:
    from ezav.recognizer import Recognizer

    with Recognizer.load(folder) as found:
        assert found.taught is not None


def _read_frozen(folder: Path) -> None:
    import ezav.recognizer.frozen_folder as reader
    from ezav.recognizer import Recognizer

    reader.frozen = _enough  # else each input would load the encoders
    try:
        Recognizer.load(folder, import_code=False).close()
    except EzavError as error:
        if str(error) != READ:
            raise


def _enough(*_: Any) -> None:
    raise EzavError(READ)


def _read_checkpoints(folder: Path) -> None:
    from ezav.training.checkpoint import Checkpoint

    Checkpoint(folder / "a.checkpoint", "key").load()


def _read_classes(folder: Path) -> None:
    from ezav.classes.embeddings import ClassEmbeddings

    for path in folder.iterdir():
        try:
            ClassEmbeddings.load(path)
        except EzavError:
            continue


def _read_signed(folder: Path) -> None:
    from ezav.signing import require_signature

    require_signature(folder / "run", folder / "key.pem")


TARGETS = [
    Target("store", ("header.json", "index.parquet", "classes/*", "shards/*"), _read_store),
    Target("store, digests anew", ("index.parquet", "classes/*", "shards/*"), _read_store, True),
    Target("store, resumed", ("header.json", "shards/*", "*.json"), _resume_store),
    Target("run", ("*.json", "*.safetensors", "config.yaml", "metrics.jsonl"), _read_run),
    Target("run, digests anew", ("*.json", "*.safetensors"), _read_run, True),
    Target("run, reported", ("*.json", "*.safetensors", "*.jsonl"), _read_reported, True),
    Target("recipe", ("recipe.yaml", "space.yaml"), _read_recipe),
    Target("manifest", ("clips.csv",), _read_manifests),
    Target("pickle", ("*",), _read_pickles),
    Target(
        "HDF5",
        ("features/**/*.h5", "features/**/*.npy", "class-split/**/*"),
        _import("avca", "ucf"),
    ),
    Target("published pickles", ("features/**/*.pkl",), _import("clipclap", "ucf")),
    Target("descriptions", ("*",), _read_descriptions),
    Target("answers", ("a.*",), _read_answers),
    Target("index of find", ("**/*.journal", "**/*.safetensors"), _read_index),
    Target("taught", ("taught-*", "manifest.json"), _read_taught, True),
    Target("frozen", ("*.json",), _read_frozen, True),
    Target("checkpoint", ("a.checkpoint",), _read_checkpoints),
    Target("class embeddings", ("*",), _read_classes),
    Target("signature", ("run/signature.json", "run/manifest.json", "key.pem"), _read_signed),
]


def corpus(root: Path) -> Path:
    """A folder of valid files for each target."""
    made = root / "corpus"
    if (made / "whole").exists():
        return made
    from fuzz_corpus import write_corpus

    shutil.rmtree(made, ignore_errors=True)
    write_corpus(make(root), made)
    (made / "whole").touch()
    return made


class Watch:
    """What a reader may not do, told by Python's own audit events."""

    def __init__(self, inside: Path) -> None:
        self.inside = str(inside)
        self.on = False
        self.seen = ""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.seen:
            return
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.fork", "socket.connect"):
            self.seen = f"{event} {str(arguments)[:200]}"
        elif event == "import" and arguments[0] == CANARY:
            self.seen = f"import of {CANARY}"
        elif event == "open" and isinstance(arguments[0], str | bytes):
            mode, flags = arguments[1], arguments[2]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if (writes or (mode and set(mode) & set("wax+"))) and not path.startswith(
                (self.inside, "/dev/null", tempfile.gettempdir())
            ):
                self.seen = f"a write to {path}"


def one_input(target: Target, place: Path, files: list[tuple[Path, bytes]], seed: int) -> str:
    """Read one mutated input; "" where it was read or refused, else what happened."""
    draw = random.Random(seed * 1_000_003 + zlib.crc32(target.name.encode()))
    chosen = draw.sample(files, 1 if draw.random() < 0.9 else min(2, len(files)))
    for path, data in chosen:
        path.write_bytes(mutated(path.name, data, draw))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.read(place)
    except EzavError as error:
        return "more than one line" if "\n" in str(error) else ""
    except OSError as error:  # the command line says those in a line, too
        return f"OSError {error.errno}: {_where(error)}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:150]!r} {_where(error)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for path, data in chosen:
            path.write_bytes(data)
    return ""


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/ezav/" in f.filename]
    last = (ours or frames)[-1]
    return f"at {last.filename.rpartition('/ezav/')[2]}:{last.lineno} {last.name}"


def _too_long(*_: Any) -> None:
    raise TimeoutError("too long")


def _digests_off() -> None:
    import ezav.features.index
    import ezav.manifest

    ezav.features.index._digests = lambda *_: {}
    ezav.manifest.read_manifest = lambda *_: None


def files_of(target: Target, place: Path) -> list[tuple[Path, bytes]]:
    found = {path for pattern in target.files for path in place.glob(pattern) if path.is_file()}
    return [(path, path.read_bytes()) for path in sorted(found)]


def work(target: Target, valid: Path, begin: int, turn: float, shared: mmap, notes: Path) -> None:
    """Read inputs from `begin` on for `turn` seconds in this (forked) process; never returns."""
    end = begin + CHUNK
    place = notes / "here" / "input"
    shutil.rmtree(place.parent, ignore_errors=True)
    shutil.copytree(valid, place)
    if target.unchecked:
        _digests_off()
    files = files_of(target, place)
    signal.signal(signal.SIGALRM, _too_long)
    target_ok = one_valid(target, place)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, has + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    watch = Watch(notes)
    listing = {path for path in place.parent.rglob("*") if path.name != "imported"}
    with (notes / "findings.jsonl").open("a") as told:
        if target_ok:
            told.write(json.dumps({"target": target.name, "seed": -1, "what": target_ok}) + "\n")
        begun = time.monotonic()
        for seed in range(begin, end):
            if time.monotonic() - begun > turn:
                end = seed
                break
            struct.pack_into("<q", shared, 0, seed)
            watch.on, watch.seen = True, ""
            what = one_input(target, place, files, seed)
            watch.on = False
            if what := watch.seen or what:
                told.write(json.dumps({"target": target.name, "seed": seed, "what": what}) + "\n")
                told.flush()
        extra = {p for p in place.parent.rglob("*") if "imported" not in p.parts} - listing
        if extra := {p for p in extra if p.suffix != ".part" or target.name == "x"}:
            what = f"new files: {sorted(str(p) for p in extra)[:3]}"
            if target.name not in ("store, resumed", "answers"):
                told.write(json.dumps({"target": target.name, "seed": begin, "what": what}) + "\n")
    struct.pack_into("<q", shared, 0, end)
    os._exit(0)


def one_valid(target: Target, place: Path) -> str:
    """What is wrong with reading the valid files; "" where nothing is."""
    try:
        target.read(place)
        return ""
    except BaseException as error:
        return f"the valid files: {type(error).__name__}: {error}"


def run_chunk(target: Target, valid: Path, begin: int, turn: float, notes: Path) -> tuple[int, str]:
    """Read up to `CHUNK` inputs in a forked worker: the next seed, and how it died if it did."""
    shared = mmap(-1, 8)
    struct.pack_into("<q", shared, 0, begin)
    child = os.fork()
    if child == 0:
        try:
            work(target, valid, begin, turn, shared, notes)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)
    before, since = begin, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        at = struct.unpack_from("<q", shared, 0)[0]
        if done:
            break
        if at != before:
            before, since = at, time.monotonic()
        elif time.monotonic() - since > 4 * SECONDS:  # in native code, where no signal is heard
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return at + 1, "does not end"
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    return (at, "") if code == 0 else (at + 1, f"the worker ended with {code}")


def fuzz_files(arguments: argparse.Namespace, root: Path) -> int:
    """All targets in turn until the time is up."""
    valid = corpus(root)
    notes = root / "work"
    notes.mkdir(parents=True, exist_ok=True)
    (root / "canary").mkdir(exist_ok=True)
    (root / "canary" / f"{CANARY}.py").write_text("class Thing: pass\n")
    sys.path.append(str(root / "canary"))
    findings = notes / "findings.jsonl"
    if not arguments.keep:
        findings.unlink(missing_ok=True)
    chosen = [t for t in TARGETS if t.name in arguments.targets or not arguments.targets]
    seeds = {target.name: arguments.start for target in chosen}
    for target in chosen:  # what readers import is imported once, before the forks
        one_valid(target, valid / target.name.partition(",")[0].replace(" ", "-"))
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        for target in sorted(chosen, key=lambda t: seeds[t.name]):
            folder = valid / target.name.partition(",")[0].replace(" ", "-")
            begun = time.monotonic()
            while time.monotonic() - begun < arguments.turn:
                seeds[target.name], died = run_chunk(
                    target, folder, seeds[target.name], arguments.turn, notes
                )
                if died:
                    told = {"target": target.name, "seed": seeds[target.name] - 1, "what": died}
                    with findings.open("a") as file:
                        file.write(json.dumps(told) + "\n")
            if time.monotonic() > end:
                break
        _tell(seeds, findings, arguments.start)
    return _tell(seeds, findings, arguments.start)


def _tell(seeds: dict[str, int], findings: Path, start: int) -> int:
    lines = findings.read_text().splitlines() if findings.exists() else []
    found = Counter((one["target"], one["what"][:160]) for one in map(json.loads, lines))
    print("| reader of | mutated inputs | findings |\n|---|---|---|")
    for name, seed in seeds.items():
        kinds = sum(target == name for target, _ in found)
        print(f"| {name} | {seed - start:,} | {kinds} |")
    print(f"| all | {sum(seeds.values()) - start * len(seeds):,} | {len(found)} |", flush=True)
    return int(bool(found))


def again(arguments: argparse.Namespace, root: Path) -> int:
    """One input again, here, with its traceback."""
    valid = corpus(root)
    target = next(t for t in TARGETS if t.name == arguments.target)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "here" / "input"
        shutil.copytree(valid / target.name.partition(",")[0].replace(" ", "-"), place)
        if target.unchecked:
            _digests_off()
        files = files_of(target, place)
        draw = random.Random(arguments.seed * 1_000_003 + zlib.crc32(target.name.encode()))
        for path, data in draw.sample(files, 1 if draw.random() < 0.9 else min(2, len(files))):
            path.write_bytes(new := mutated(path.name, data, draw))
            print(path.relative_to(place), len(data), "->", len(new))
            if arguments.out:
                shutil.copy(path, arguments.out)
        target.read(place)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, help="where the corpus and the notes are kept")
    verbs = parser.add_subparsers(dest="verb", required=True)
    files = verbs.add_parser("files")
    files.add_argument("--seconds", type=float, default=600)
    files.add_argument("--turn", type=float, default=20, help="seconds a target at a time")
    files.add_argument("--targets", nargs="*", default=[])
    files.add_argument("--from", dest="start", type=int, default=0, help="the first seed")
    files.add_argument("--keep", action="store_true", help="add to the findings of before")
    one = verbs.add_parser("one")
    one.add_argument("target")
    one.add_argument("seed", type=int)
    one.add_argument("--out", type=Path, help="copy the mutated file there")
    media = verbs.add_parser("media")
    media.add_argument("--count", type=int, default=1000)
    media.add_argument("--seconds", type=float, default=1e9, help="at most")
    media.add_argument("--workers", type=int, default=1)
    media.add_argument("--from", dest="start", type=int, default=0)
    http = verbs.add_parser("http")
    http.add_argument("--seconds", type=float, default=60)
    http.add_argument("--visitors", type=int, default=8)
    http.add_argument("--from", dest="start", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.root or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        if arguments.verb == "files":
            return fuzz_files(arguments, root)
        if arguments.verb == "one":
            return again(arguments, root)
        from fuzz_hosts import fuzz_http, fuzz_media

        return (fuzz_media if arguments.verb == "media" else fuzz_http)(arguments, root)


if __name__ == "__main__":
    sys.exit(main())
