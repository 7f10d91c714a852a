"""What decided: a run's recall class by class, and for single clips the tokens behind a score.

The clips are those of a store (--store), or files. For every clip the class that is chosen (and,
where it is another, the right one) gets its score split into what each token gave: the class
token, and each moment of sound and picture; the scores that a run starts from (its prior) are a
part of their own. The parts sum to the score exactly; attention is the mean over heads. The choice
is made among stacked scores: gamma is taken off those of seen classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.text import Text

from ezav.cli.common import Command, Importing, Signed, at_least_one, load_recognizer, output
from ezav.cli.run_shown import classes_line
from ezav.errors import EzavError, NotFoundError
from ezav.extraction.reading import Limits

if TYPE_CHECKING:
    from ezav.features.feature_set import FeatureSet
    from ezav.methods.ez_avgzl.method import EzAvgzl
    from ezav.protocol.cut import Cut
    from ezav.protocol.result import ClassResult
    from ezav.recognizer import Recognizer

_KINDS = ("class token", "audio", "visual")
_MOST_TOKENS = 6


@dataclass(frozen=True)
class TokenShare:
    """What one token gave to a score.

    Attributes:
        kind: "class token", "audio" or "visual".
        seconds: its middle.
        attention: mean over heads.
        contribution: its part of the score.
    """

    kind: str
    seconds: float
    attention: float
    contribution: float


@dataclass(frozen=True)
class Scored:
    """One class's score for a clip, before and after gamma is taken off, and its parts.

    `prior` is what the scores gave that the run starts from; `starts_from` says which they are.
    """

    name: str
    score: float
    stacked: float
    tokens: tuple[TokenShare, ...]
    prior: float = 0.0
    starts_from: str = ""


@dataclass(frozen=True)
class InspectedClip:
    """One clip: its class (empty for a file) and the scores looked into, the chosen one first.

    `error` says why a file could not be read; it has no scores then.
    """

    clip: str
    label: str = ""
    classes: tuple[Scored, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Inspected:
    """What `ezav inspect` shows: classes by recall, lowest first, and clips.

    `tried` says in a line which class embeddings validation chose, where it did.
    `cut` is how `ezav scan` cuts recordings by default; None where it was not tried.
    """

    run: Path
    gamma: float
    classes: tuple[ClassResult, ...]
    clips: tuple[InspectedClip, ...]
    status: int
    tried: str = ""
    cut: Cut | None = None


@dataclass(kw_only=True)
class InspectCommand(Command):
    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Look into this run folder; clips are looked into with runs of ez_avgzl only."""
    store: Path | None = None
    """Look into clips of this feature store, the one of the run; without it clips are files."""
    clips: tuple[str, ...] = ()
    """Look into these clips of the store, named by their ids (by default the first few of the test
    clips); without --store, into these video or sound files."""
    count: int = 5
    """Show so many test clips if none are named."""
    groups: tuple[str, ...] = ()
    """Name the CSV file, and its columns, that the run was given as --groups; this goes with
    --store."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)
    """What reading one file may cost."""

    def run(self) -> Inspected:
        from ezav.protocol.run_folder import read_result
        from ezav.recognizer.folder import read_calibration
        from ezav.signing import require_signature

        at_least_one(count=self.count)
        if self.require_signature is not None:
            require_signature(self.run_folder, self.require_signature)
        result = read_result(self.run_folder)
        classes = sorted(result.per_class, key=lambda one: (one.recall is None, one.recall or 0))
        clips = self._clips() if self.clips or self.store is not None else ()
        return Inspected(
            run=self.run_folder,
            gamma=result.gamma,
            classes=tuple(classes),
            clips=tuple(clips),
            status=1 if any(clip.error for clip in clips) else 0,
            tried=classes_line(result) if result.classes_tried else "",
            cut=read_calibration(self.run_folder, result.gamma).cut,
        )

    def _clips(self) -> Sequence[InspectedClip]:
        from ezav.methods.ez_avgzl.method import EzAvgzl

        files = self.store is None
        recognizer = load_recognizer(
            self.run_folder, self.device, self.import_code, self.limits, files
        )
        method = recognizer.model.method
        if recognizer.result.gate != "none":
            raise EzavError(
                "the scores of a gated run are no sum of what tokens gave",
                "look into a run without `gate`",
            )
        if not isinstance(method, EzAvgzl):
            name = recognizer.result.method
            raise EzavError(f"'{name}' does not attend token by token", "use ez_avgzl")
        if self.store is not None:
            return look(recognizer, method, self._stored(recognizer, self.store), labelled=True)
        encoded = recognizer.encode([Path(clip) for clip in self.clips])
        readable = [clip for clip in encoded if not clip.error]
        found = iter(
            look(recognizer, method, recognizer.features(readable), labelled=False)
            if readable
            else ()
        )
        return [
            InspectedClip(str(clip.path), error=clip.error) if clip.error else next(found)
            for clip in encoded
        ]

    def _stored(self, recognizer: Recognizer, path: Path) -> FeatureSet:
        import torch

        from ezav.features.redraw import drawn_for
        from ezav.features.sources import read_sources
        from ezav.features.store import FeatureStore

        result, sources = recognizer.result, None
        if self.groups:
            file, *columns = self.groups
            sources = read_sources(Path(file), columns or ("source",))
        unseen = result.candidates["unseen"]
        store = drawn_for(FeatureStore.open(path), result.store_fingerprint, unseen, sources)
        if store is None:
            raise EzavError(
                f"'{path}' is not the store that this run was trained on",
                "a run that was told `groups` needs them here too",
            )
        clips = store.select(*(() if self.clips else ("test_seen", "test_unseen")))
        row_of = {name: row for row, name in enumerate(clips.clips)}
        unknown = [name for name in self.clips if name not in row_of]
        if unknown:
            raise NotFoundError(f"the store has no readable clip '{unknown[0]}'")
        rows = [row_of[name] for name in self.clips] or list(range(len(clips))[: self.count])
        return clips.subset(torch.tensor(rows))

    def show(self, result: Inspected) -> None:
        from rich.table import Table

        table = Table("class", "", "clips", "recall", "among unseen", box=None)
        for one in result.classes:
            numbers = ("" if x is None else f"{x:.1%}" for x in (one.recall, one.zsl_recall))
            kind = "seen" if one.seen else "unseen"
            table.add_row(one.name, kind, str(one.clips), *numbers)
        output.print(table)
        if result.tried:
            output.print(result.tried, soft_wrap=True)
        if result.cut is not None:
            cut = result.cut
            output.print(
                f"scan: --window {cut.window:g} --change {cut.change:g} (with --several "
                f"{cut.change_several:g}) cut joined validation clips best: event F1 "
                f"{cut.event_f1:.1%}, {cut.event_f1_usual:.1%} by 2 s and 4 nats",
                soft_wrap=True,
            )
        for clip in result.clips:
            show_clip(clip)


def look(
    recognizer: Recognizer, method: EzAvgzl, clips: FeatureSet, labelled: bool
) -> list[InspectedClip]:
    """The chosen class of each clip (and the right one, where it is known and another)."""
    import torch

    model = recognizer.model
    rows, names, pooled = torch.arange(len(clips)), model.classes.names, not method.uses_time
    audio = clips.audio.gather(rows, pooled=pooled).to(method.device)
    visual = clips.visual.gather(rows, pooled=pooled).to(method.device)
    with torch.inference_mode():
        shares = method.inspect(audio, visual, model.classes.vectors.to(method.device))
    scores = (shares.contribution.sum(-1) + shares.prior).cpu()
    stacked = scores - recognizer.result.gamma * model.seen
    found = []
    for row, clip in enumerate(clips.clips):
        label = clips.classes[int(clips.labels[row])] if labelled else ""
        columns = [int(stacked[row].argmax())]
        if label in names and names[columns[0]] != label:
            columns.append(names.index(label))
        scored = []
        for column in columns:
            tokens = tuple(
                TokenShare(
                    kind=_KINDS[int(shares.kinds[token])],
                    seconds=float(shares.times[row, token]),
                    attention=float(shares.attention[row, column, token]),
                    contribution=float(shares.contribution[row, column, token]),
                )
                for token in shares.real[row].nonzero()[:, 0].tolist()
            )
            score, less = float(scores[row, column]), float(stacked[row, column])
            prior = float(shares.prior[row, column])
            scored.append(Scored(names[column], score, less, tokens, prior, method.starts_from))
        found.append(InspectedClip(clip, label, tuple(scored)))
    return found


def show_clip(clip: InspectedClip) -> None:
    """One clip for people: its classes, and of each the tokens that gave most."""
    if clip.error:
        output.print(Text(f"\n{clip.clip}", "bold"), f" not read: {clip.error}")
        return
    output.print(Text(f"\n{clip.clip}", "bold"), f" is '{clip.label}'" if clip.label else "")
    for one in clip.classes:
        less = f", less gamma {one.stacked:+.3f}" if one.stacked != one.score else ""
        output.print(f"  {one.name}  score {one.score:+.3f}{less}")
        if one.prior:
            output.print(f"    {one.prior:+.3f}  {one.starts_from}")
        tokens = sorted(one.tokens, key=lambda token: -abs(token.contribution))
        for token in tokens[:_MOST_TOKENS]:
            when = f" at {token.seconds:.1f} s" if token.seconds else ""
            output.print(
                f"    {token.contribution:+.3f}  attention {token.attention:.2f}  "
                f"{token.kind}{when}"
            )
        if len(tokens) > _MOST_TOKENS:
            output.print(f"    and {len(tokens) - _MOST_TOKENS} more (--json gives all)")


CLI = InspectCommand
