"""A look at a whole store, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ezav.checking.clips import few_clips, odd_clips, rows_of, shared_sources, still_clips
from ezav.checking.copies import copies
from ezav.checking.finding import TITLES, CheckResult, Finding, LearningCurve
from ezav.checking.inputs import Inputs, refuse_empty
from ezav.checking.labels import contradicted
from ezav.checking.learning import learning_curve
from ezav.checking.names import doubtful_names, known_classes
from ezav.errors import EzavError, NotFoundError
from ezav.features.index import OK
from ezav.features.store import FeatureStore


def check_store(
    store: FeatureStore,
    text_encoder: str | None = None,
    sources: Mapping[str, str] | None = None,
) -> CheckResult:
    """Look for what is wrong with the clips, the labels, the splits and the names of a store.

    Nothing is trained on test clips and nothing is chosen by them; the learning curve leaves them
    out. Features lie in memory, all of them.

    Args:
        store: the store.
        text_encoder: whose class embeddings; None: the first that it has.
        sources: clip -> what it was cut from; None: as the store knows it. The splits stay.

    Raises:
        EzavError: no clip is readable, the store is damaged or has no class embeddings of that
            encoder, or the sources are of clips that it lacks.

    Example:
        >>> check_store(store).clips
        144
    """
    refuse_empty(store)
    rows = rows_of(store)
    if sources is not None:
        _refuse_strangers(sources, {row["clip"] for row in rows})
    known = store.sources if sources is None else sources
    inputs = Inputs.of(store, text_encoder, known)
    of_clip = {row["clip"]: row for row in rows}
    readable = [of_clip[clip] for clip in inputs.clips.clips]
    remarked = _remarked(store)
    found: list[Finding] = [
        *contradicted(inputs),
        *copies(inputs),
        *shared_sources(rows, known),
        *odd_clips(rows),
        *still_clips(inputs.clips.visual, readable, "picture", remarked),
        *still_clips(inputs.clips.audio, readable, "sound", remarked),
        *few_clips(rows),
    ]
    if inputs.text is not None:
        found += doubtful_names(store.class_embeddings(text_encoder))
    if not store.header.simulated:
        unseen = store.split_classes("test_unseen")
        found += known_classes(store.header.encoders, store.classes, unseen)
    curve, notes = _curve(inputs)
    order = list(TITLES)
    found.sort(key=lambda one: order.index(one.kind))
    return CheckResult(
        store=str(store.path),
        clips=sum(row["status"] == OK for row in rows),
        classes=len(store.classes),
        findings=tuple(found),
        curve=curve,
        notes=(*inputs.notes, *_untold(inputs, known), *notes),
    )


def _remarked(store: FeatureStore) -> bool:
    """Whether its clips were read from media by an ezav that says what is silent or black."""
    origin = store.header.splits
    extracted = origin is not None and origin.how != "published"
    return extracted and not store.header.created_with.startswith("ezav 0.1")


def _curve(inputs: Inputs) -> tuple[LearningCurve | None, tuple[str, ...]]:
    rows = [row for row, split in enumerate(inputs.splits) if not split.startswith("test")]
    try:
        return learning_curve(inputs.subset(torch.tensor(rows, dtype=torch.long))), ()
    except EzavError as error:
        return None, (f"no learning curve: {error.message}",)


def _untold(inputs: Inputs, sources: Mapping[str, str]) -> tuple[str, ...]:
    notes = []
    if not sources:
        notes.append("the store knows no sources: clips of one recording vouch for each other")
    if int(max(inputs.clips.visual.lengths.max(), inputs.clips.audio.lengths.max())) < 2:
        notes.append("one token a clip: whether anything changes within clips cannot be told")
    return tuple(notes)


def _refuse_strangers(sources: Mapping[str, str], clips: set[str]) -> None:
    if strangers := [clip for clip in sources if clip not in clips]:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        raise NotFoundError(
            f"the store has no clip '{strangers[0]}'{more}, whose source is given",
            "name clips as the store does: by their paths",
        )
