"""Name what is in clips: among the classes of a run, or any names you type.

Names that the run knows keep their trained class embedding; others are new: no clip of them was
ever seen, their name is enough. Reads any file with picture or sound; what is missing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.text import Text

from ezav.cli.common import Command, Importing, output, progress
from ezav.errors import EzavError

if TYPE_CHECKING:
    from rich.status import Status

    from ezav.recognizer import Recognizer
    from ezav.recognizer.recognizer import OnNames


@dataclass(kw_only=True)
class PredictCommand(Command):
    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a saved recogniser, or a hub id 'owner/name'."""
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP...")]
    """Video or sound files."""
    classes: tuple[str, ...] | None = None
    """Exactly these candidates, each name in quotes; by default all classes of the run."""
    class_file: Path | None = None
    """A text file with one class name a line, instead of --classes."""
    top_k: int = 5
    """How many candidates to show for each clip."""
    device: str = "cpu"
    """cpu, cuda, or auto."""
    import_code: Importing = False

    def run(self) -> dict[str, Any]:
        if not self.clips:
            raise EzavError("no clips are given", "name at least one file")
        recognizer = load_recognizer(self.run_folder, self.device, self.import_code)
        classes = read_classes(self.classes, self.class_file)
        predictions = []
        with progress.status("") as status:
            # A bad list is told before any file is read.
            recognizer.candidates(classes, names_progress(status))
            for number, path in enumerate(self.clips, start=1):
                status.update(Text(f"{number} of {len(self.clips)}: {path.name}"))
                found = recognizer.predict(path, classes=classes, top_k=self.top_k)
                predictions += [one.as_dict() for one in found]
        unread = [one["clip"] for one in predictions if one["error"]]
        return {
            "run": str(self.run_folder),
            "temperature": recognizer.temperature_,
            "ece": recognizer.ece_,
            "reject_threshold": recognizer.calibration.as_dict()["reject_threshold_"],
            "predictions": predictions,
            "unread": unread,
            "status": 1 if unread else 0,
        }

    def show(self, result: dict[str, Any]) -> None:
        for one in result["predictions"]:
            show_prediction(one)
        if len(result["unread"]) < len(result["predictions"]):
            off = f"{result['ece']:.1%} on average on the run's validation clips"
            output.print(f"probabilities are off by {off} (calibration error)", style="dim")
        if result["unread"]:
            count, total = len(result["unread"]), len(result["predictions"])
            progress.print(f"{count} of {total} could not be read:", style="red")
            for one in result["predictions"]:
                if one["error"]:
                    progress.print(f"  {one['clip']}: {one['error']}", soft_wrap=True)


CLI = PredictCommand


def load_recognizer(run: str | Path, device: str = "cpu", import_code: bool = False) -> Recognizer:
    """The recogniser of a run, on a device by name (`auto`: a GPU where there is one)."""
    from ezav.recognizer import Recognizer

    return Recognizer.load(run, device, import_code)


def names_progress(status: Status) -> OnNames:
    """Tells in a status line how far new class names are."""

    def tell(step: str, done: int, total: int) -> None:
        status.update(f"class names {step}: {done:,} of {total:,}")

    return tell


def read_classes(names: tuple[str, ...] | None, file: Path | None) -> list[str] | None:
    """The candidates from the command line or a file; None for all classes of the run.

    Raises:
        EzavError: both are given, or the file cannot be read or holds no name.
    """
    if names is not None and file is not None:
        raise EzavError("both --classes and --class-file are given", "give one of them")
    if file is None:
        return None if names is None else list(names)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EzavError(f"cannot read '{file}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EzavError(f"'{file}' is not UTF-8 text", "write one class name a line") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise EzavError(f"'{file}' holds no class names", "write one a line")
    return found


def show_prediction(one: dict[str, Any]) -> None:
    """One clip for people: ranked names, and in words what it lacks."""
    if one["error"]:
        output.print(Text(one["clip"], "bold"), f" not read: {one['error']}\n")
        return
    seconds = f"  ({one['duration']:.1f} s)" if one["duration"] else ""
    output.print(Text.assemble((one["clip"], "bold"), seconds))
    width = max(len(label(c)) for c in one["ranked"])
    for place, c in enumerate(one["ranked"], start=1):
        why = ", ".join(f"{k} {v:+.2f}" for k, v in c["contributions"].items())
        line = (
            f"  {place:>2}  {label(c):<{width}}  {c['kind']:<6}  {c['probability']:>6.1%}  "
            f"score {c['score']:+.3f}"
        )
        output.print(Text.assemble(line, (f"  {why}" if why else "", "dim")))
    if one["rejected"]:
        output.print("  none of these stands out: it may be something else")
    for modality, reason in one["missing"].items():
        what, other = ("sound", "picture") if modality == "audio" else ("picture", "sound")
        output.print(f"  no {what} ({reason}): answered from the {other} alone")
    for warning in one["warnings"]:
        output.print(f"  warning: {warning}")
    output.print("")


def label(candidate: dict[str, Any]) -> str:
    """The name as typed, with the run's own spelling where it differs."""
    known = candidate["known_as"]
    return f"{candidate['name']} (known as '{known}')" if known else str(candidate["name"])


__all__ = [
    "CLI",
    "PredictCommand",
    "label",
    "load_recognizer",
    "names_progress",
    "read_classes",
    "show_prediction",
]
