"""Name what is in clips: among the classes of a run, or any names you type.

    ezav predict RUN CLIP... [--classes "a dog" "rain"]
    ezav predict --frozen CLIP... --classes "a dog" "rain"      no run, nothing trained
    ezav predict RUN FOLDER --out answers.csv sheet.html        a table, whatever is in the folder

Names that the run knows keep their trained class embedding; others are new: no clip of them was
ever seen, their name is enough. Reads any file with picture or sound; what is missing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from ezav.answers.media import media_files
from ezav.cli.answers import Tabled, answer_table, named_lists, show_table
from ezav.cli.clips_progress import clip_progress
from ezav.cli.common import (
    Command,
    FrozenOptions,
    Importing,
    Signed,
    check_frozen,
    frozen_recognizer,
    load_recognizer,
    names_progress,
    output,
    progress,
    tell_read,
    tell_remarks,
)
from ezav.errors import EzavError
from ezav.extraction.reading import Limits
from ezav.naming import shown
from ezav.recognizer.names import Names
from ezav.recognizer.prediction import Candidate, Prediction


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What `ezav predict` found.

    Attributes:
        run: where the recogniser is; empty of a frozen one.
        temperature, ece, reject_threshold: learned on the run's validation clips, or on those of
            `calibrate`.
        calibrated: whether they were learned at all.
        withheld: why there are no percentages; empty where there are.
        unused: modality -> why it is not read.
        predictions: one a clip, in order.
        caution: where the run was no better than guessing on its test clips, that; else empty.
        unread: the clips that could not be read.
        status: 1 where there are such.
        several_f1: where several names were asked for, the F1 of names of validation clips, each by
            thresholds of other clips.
    """

    run: str
    temperature: float
    ece: float
    reject_threshold: float
    calibrated: bool
    withheld: str
    unused: dict[str, str]
    predictions: tuple[Prediction, ...]
    unread: tuple[str, ...]
    caution: str
    status: int
    several_f1: float | None = None


@dataclass(kw_only=True)
class PredictCommand(FrozenOptions, Command):
    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Use this run folder, saved recogniser, or hub id 'owner/name'; with --frozen the first clip
    stands here."""
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP...")]
    """Recognise these video or sound files, folders of them, or CSV manifests with a column
    `path`."""
    out: tuple[Path, ...] = ()
    """Write tables to these files: .csv .parquet .json, or .html, a contact sheet. Clips are read
    in parallel; a killed call goes on, and the same call again reads only what has changed."""
    several: bool = False
    """Decide each class on its own against none of these: a clip gets all names that it shows, by
    thresholds that were learned on validation."""
    together: bool = False
    """Answer the clips jointly with --frozen; with others beside it a clip may be called
    otherwise."""
    classes: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Choose among exactly these names, each in quotes; by default among all classes of the run.
    With --out it may be given several times: so many lists of names, and every file is decoded
    once."""
    class_file: Path | None = None
    """Read the class names from a text file with one a line, instead of --classes."""
    descriptions: Path | None = None
    """Let the text encoder read the descriptions of a CSV (name,description,…) or YAML file in the
    names' place; its names are the candidates where none are listed. They may be typed, too: "name:
    description"."""
    lists: Path | None = None
    """Read several lists of names for --out from a YAML or JSON file, 'list: [name, name]'."""
    workers: int | None = None
    """Read in so many processes with --out; by default one for each CPU."""
    retry: bool = False
    """Read again what could not be read earlier, with --out."""
    allow_outside: bool = False
    """Accept manifest paths that are absolute or lead out of the manifest's folder."""
    top_k: int = 5
    """Show so many candidates for each clip."""
    explain: bool = False
    """Tell what sound, picture and each moment give to the answers; this costs more than the
    reading."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    """What reading one file may cost."""

    @property
    def goes_on(self) -> bool:
        """Interrupted and called again, it goes on where it stopped."""
        return bool(self.out)

    def run(self) -> Predicted | Tabled:
        check_frozen(self)
        given = [Path(self.run_folder), *self.clips] if self.frozen else list(self.clips)
        lists = named_lists(self)
        for name in ("together", "explain"):
            if self.several and getattr(self, name):
                raise EzavError(f"both --several and --{name} are given", "leave one of them out")
        if self.out:
            return answer_table(self, given, lists)
        if len(lists) > 1:
            raise EzavError(f"{len(lists)} lists of names are given", "name a table with --out")
        return self._print(given, next(iter(lists.values())))

    def _print(self, given: Sequence[Path], classes: Names | None) -> Predicted:
        clips = media_files(given, allow_outside=self.allow_outside)
        if not clips:
            raise EzavError("no clips are given", "name at least one file")
        recognizer = (
            frozen_recognizer(self, self.device, self.limits, classes)
            if self.frozen
            else load_recognizer(
                self.run_folder,
                self.device,
                self.import_code,
                self.limits,
                files=True,
                require_signature=self.require_signature,
            )
        )
        predictions: list[Prediction] = []
        with progress.status("class names") as status:
            # A bad list is told before any file is read.
            candidates = recognizer.candidates(classes, names_progress(status))
        tell_read(candidates.read)
        tell_remarks(candidates.remarks)
        if self.several:
            recognizer.answering.thresholds()  # raises: there are none
        with clip_progress("reading", "read", quiet=self.json) as tell:
            if self.together:
                predictions = recognizer.predict(
                    clips, classes=classes, top_k=self.top_k, together=True
                )
            for number, path in enumerate([] if self.together else clips, start=1):
                predictions += recognizer.predict(
                    path,
                    classes=classes,
                    top_k=self.top_k,
                    explain=self.explain,
                    several=self.several,
                )
                tell(number, len(clips), bool(predictions[-1].error))
        unread = tuple(one.clip for one in predictions if one.error)
        return Predicted(
            run="" if self.frozen else str(self.run_folder),
            temperature=recognizer.temperature_,
            ece=recognizer.ece_,
            reject_threshold=recognizer.calibration.reject_threshold_,
            calibrated=recognizer.calibration.fitted,
            withheld=recognizer.answering.withheld(candidates, self.several),
            unused=recognizer.unused,
            predictions=tuple(predictions),
            unread=unread,
            caution=recognizer.caution,
            status=1 if unread else 0,
            several_f1=recognizer.answering.thresholds().f1_ if self.several else None,
        )

    def show(self, result: Predicted | Tabled) -> None:
        if isinstance(result, Tabled):
            show_table(result)
            return
        for one in result.predictions:
            show_prediction(one)
        if len(result.unread) < len(result.predictions):
            told = together_line(result.predictions) + honesty(result)
            output.print(told, style="dim", soft_wrap=True)
        if result.unread:
            count, total = len(result.unread), len(result.predictions)
            progress.print(f"{count} of {total} could not be read:", style="red")
            for one in result.predictions:
                if one.error:
                    progress.print(f"  {one.clip}: {one.error}", soft_wrap=True)
        if result.caution:
            output.print(Text(f"this run: {result.caution}", "bold red"))


CLI = PredictCommand


def honesty(result: Predicted) -> str:
    """What the probabilities are worth."""
    if not result.calibrated:
        return (
            "no percentages: probabilities are uncalibrated, nothing was trained "
            "(--calibrate FOLDER learns them)"
        )
    if result.withheld:
        return f"no percentages: {result.withheld}"
    if result.several_f1 is not None:
        return f"names of clips held out were told with an F1 of {result.several_f1:.1%}"
    where = "the labelled clips" if not result.run else "the run's validation clips"
    off = f"{result.ece:.1%} on average on {where}"
    return f"probabilities are off by {off} (calibration error)"


def together_line(predictions: tuple[Prediction, ...]) -> str:
    """How far the clips were answered together; empty where each stands alone."""
    answered = [one.together for one in predictions if one.together is not None]
    if not answered:
        return ""
    if answered[0] == 0:
        return (
            "each clip was answered alone: too few of the names seem to occur in the clips for "
            "them to correct each other\n"
        )
    return f"{len(answered)} clips answered together (transductive, weight {answered[0]:.2f})\n"


def show_prediction(one: Prediction) -> None:
    """One clip for people: ranked names, and in words what it lacks."""
    if one.error:
        output.print(Text(one.clip, "bold"), f" not read: {one.error}\n")
        return
    seconds = f"  ({one.duration:.1f} s)" if one.duration else ""
    output.print(Text.assemble((one.clip, "bold"), seconds))
    width = max(len(label(c)) for c in one.ranked)
    for place, c in enumerate(one.ranked, start=1):
        if place - 1 == one.several:
            output.print("  below their thresholds:", style="dim")
        why = ", ".join(f"{k} {v:+.2f}" for k, v in c.contributions.items())
        line = (
            f"  {place:>2}  {label(c):<{width}}  {c.kind:<6}  {percentage(c):>6}  "
            f"score {c.score:+.3f}"
        )
        output.print(Text.assemble(line, (f"  {why}" if why else "", "dim")))
    if one.rejected and one.several is None:
        output.print("  none of these stands out: it may be something else")
    elif one.rejected:
        output.print("  none of these")
    for modality, reason in one.missing.items():
        what, other = ("sound", "picture") if modality == "audio" else ("picture", "sound")
        output.print(f"  no {what} ({reason}): answered from the {other} alone")
    for warning in one.warnings:
        output.print(f"  warning: {warning}")
    output.print("")


def percentage(candidate: Candidate) -> str:
    """The probability in percent; a dash where it is withheld.

    Example:
        >>> percentage(Candidate(name="dog", kind="new", score=2.0, probability=None))
        '–'
    """
    return "–" if candidate.probability is None else f"{candidate.probability:.1%}"


def label(candidate: Candidate) -> str:
    """The name as typed, with the run's own spelling where it differs."""
    known = candidate.known_as
    name = shown(candidate.name)
    return f"{name} (known as '{shown(known)}')" if known else name


__all__ = ["CLI", "PredictCommand", "label", "show_prediction"]
