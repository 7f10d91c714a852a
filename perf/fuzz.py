"""Mutated inputs over every reader of files: each is read, or refused with one line.

    python perf/fuzz.py files [--seconds 600] [--targets store run …]
    python perf/fuzz.py one TARGET SEED          the same input again, with its traceback
    python perf/fuzz.py media [--seconds 600]    through the decoding of extraction
    python perf/fuzz.py http [--seconds 600] [--sockets]    requests to the page

Inputs are read in forked workers with limits on memory and time and with an eye (an audit hook) on
what they open, start and import. A finding is any other error than `EzavError`, a message that is
more than a line, a crash, too much time or memory for one input, the import of a module that only
the input names, a process, a connection or a write outside. With `--root` the corpus, the findings
and the counts are kept, and a later call goes on with new inputs. The last line is the table;
status 1 where there are findings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz_mutations import CANARY
from fuzz_readers import digests_off
from fuzz_targets import TARGETS
from fuzz_turns import Kept, in_turn
from fuzz_workers import change, files_of
from small_world import make


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


def memory() -> str | None:
    """A folder in memory for what is written and read again at once; None: there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def fuzz_files(arguments: argparse.Namespace, root: Path, room: Path) -> int:
    """The targets by their shares until the time is up."""
    (root / "canary").mkdir(exist_ok=True)
    (root / "canary" / f"{CANARY}.py").write_text("class Thing: pass\n")
    sys.path.append(str(root / "canary"))
    chosen = [t for t in TARGETS if t.name in arguments.targets or not arguments.targets]
    return in_turn(chosen, arguments, Kept(root, corpus(root), room))


def again(arguments: argparse.Namespace, root: Path, room: Path) -> int:
    """One input again, here, with its traceback."""
    from fuzz_media import CLIPS, clips

    target = next(t for t in (*TARGETS, CLIPS) if t.name == arguments.target)
    place = room / "here" / "input"
    valid = clips(root) if target is CLIPS else corpus(root)
    shutil.copytree(valid / target.folder, place)
    if target.unchecked:
        digests_off()
    files = files_of(target, place)
    changed = list(change(target, files, arguments.seed))
    for path in changed:
        print(path.relative_to(place), len(dict(files)[path]), "->", path.stat().st_size)
        if arguments.out:
            shutil.copy(path, arguments.out)
    target.read(place, changed)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, help="where corpus, findings and counts are kept")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("files", "media", "http"):
        verb = verbs.add_parser(name)
        verb.add_argument("--seconds", type=float, default=600)
        verb.add_argument("--from", dest="start", type=int, default=0, help="the first seed")
        verb.add_argument("--turn", type=float, default=10, help="a worker's processor time")
        if name == "files":
            verb.add_argument("--targets", nargs="*", default=[])
        if name == "http":
            verb.add_argument("--visitors", type=int, default=8)
            verb.add_argument("--sockets", action="store_true", help="over real connections")
    one = verbs.add_parser("one")
    one.add_argument("target")
    one.add_argument("seed", type=int)
    one.add_argument("--out", type=Path, help="copy the mutated files there")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory(dir=memory()) as room:
        root = (arguments.root or Path(kept)).absolute()
        root.mkdir(parents=True, exist_ok=True)
        if arguments.verb == "files":
            return fuzz_files(arguments, root, Path(room))
        if arguments.verb == "one":
            return again(arguments, root, Path(room))
        if arguments.verb == "media":
            from fuzz_media import fuzz_media

            return fuzz_media(arguments, root, Path(room))
        from fuzz_http import fuzz_http

        return fuzz_http(arguments, root, Path(room))


if __name__ == "__main__":
    sys.exit(main())
