"""The model card of a shared recogniser: the run's own numbers, classes, encoders, licences."""

from __future__ import annotations

from typing import Any

from ezav.encoders import registry
from ezav.encoders.base import Kind
from ezav.errors import DamagedError, EzavError
from ezav.features.simulated import simulated_banner
from ezav.markdown import escaped, markdown_rows
from ezav.protocol.measure import metrics_of
from ezav.protocol.run_folder import read_evaluation_file
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.trained import Trained

_UNKNOWN = "not stated"
_AGREEMENT = 1e-4


def model_card(trained: Trained) -> Any:
    """A `huggingface_hub.ModelCard`; `str` of it is the README with its metadata."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        library_name="ezav",
        tags=["audio-visual", "video-classification", "zero-shot", trained.result.method],
        pipeline_tag="video-classification",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{card_text(trained)}")


def frozen_card(given: Frozen) -> Any:
    """The card of a recogniser that nothing was trained for."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(library_name="ezav", tags=["audio-visual", "zero-shot"])
    rows = [(escaped(e.modality), escaped(e.name), e.revision) for e in given.header.encoders]
    rows.append(("text", escaped(given.text.encoder), ""))
    worth = given.calibration.withheld
    parts = [
        "# A frozen recogniser",
        "Names what is in a video among any names you type; nothing was trained, and no weights "
        "are here: the encoders are loaded by name.",
        '```python\nfrom ezav import Recognizer\n\nrecognizer = Recognizer.from_pretrained("this '
        'folder")\n```',
        markdown_rows(("", "encoder", "revision"), rows),
        f"No percentages: {worth}." if worth else f"Calibrated on {given.calibration.clips} clips.",
    ]
    if given.names:
        parts.append(markdown_rows(("names",), [(escaped(name),) for name in given.names]))
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n")


def card_text(trained: Trained) -> str:
    """The card without metadata, in Markdown."""
    result = trained.result
    parts = [
        f"# {escaped(result.label or result.method)} on {escaped(result.dataset)}",
        "Names what is in a video, by sound and picture, among the classes below or any class "
        "names you type.",
    ]
    if result.simulated:
        parts.append(f"**{simulated_banner()}**")
    parts += [
        "## Use",
        "```python\nfrom ezav import Recognizer\n\n"
        'recognizer = Recognizer.from_pretrained("this repository, or its folder")\n'
        'print(recognizer.predict("clip.mp4", classes=["a dog barking", "rain"])[0].best)\n```',
        f"## Results\n{_results(trained)}",
        f"## Encoders\n{_encoders(trained)}",
        f"## Classes\n{_classes(trained)}{_described(trained)}",
        f"## How it was made\n{_provenance(trained)}",
    ]
    return "\n\n".join(parts) + "\n"


def encoder_rows(trained: Trained) -> list[dict[str, str]]:
    """Modality, name, revision, licence, source and attribution of the encoders of a run."""
    named: list[tuple[Kind, str, str]] = [
        (e.modality, e.name, e.revision) for e in trained.header.encoders if e.modality != "text"
    ]
    for one in trained.text.encoder.split(" + "):  # more than one where texts are joined
        name, _, revision = one.partition("@")
        named.append(("text", name, revision))
    return [_encoder_row(*row) for row in named]


def _encoder_row(kind: Any, name: str, revision: str) -> dict[str, str]:
    row = {"modality": str(kind), "name": name, "revision": revision or _UNKNOWN}
    try:
        card = registry.card(kind, name)
    except EzavError:
        return {**row, "licence": _UNKNOWN, "source": _UNKNOWN, "attribution": ""}
    return {
        **row,
        "licence": card.licence,
        "source": card.source,
        "attribution": card.attribution,
    }


def _results(trained: Trained) -> str:
    result, learned = trained.result, trained.calibration
    names = ("S", "U", "HM", "ZSL", "AUSUC")
    rows = [
        (where, *(f"{100 * getattr(metrics, name):.2f}" for name in names))
        for where, metrics in (
            ("test", result.metrics),
            ("validation", result.validation),
            ("chance", result.chance),
        )
    ]
    return "\n\n".join(
        [
            "Mean per-class recall in %, on seen (S) and unseen (U) classes among all candidates, "
            "their harmonic mean (HM), among unseen candidates only (ZSL), and the area under the "
            "seen-unseen curve (AUSUC).",
            markdown_rows(("", *names), rows, align="lrrrrr"),
            _said_by(trained),
            f"Probabilities: temperature {learned.temperature_:.4g} fitted on {learned.clips} "
            f"validation clips; expected calibration error {learned.ece_before_:.3f} before, "
            f'{learned.ece_:.3f} after. "None of these" tells known from unknown with balanced '
            f"accuracy {learned.reject_accuracy_:.3f} (0.5 is chance).",
        ]
    )


def _said_by(trained: Trained) -> str:
    """Where the numbers come from; they are computed again where the scores are.

    Raises:
        DamagedError: the stored scores give other numbers than the result.
    """
    if trained.tested is None:
        return "As stated by its author: the scores that would show it were not there."
    again = metrics_of(read_evaluation_file(trained.tested), trained.result.gamma)
    for name, said in trained.result.metrics.model_dump().items():
        if not abs(getattr(again, name) - said) <= _AGREEMENT:
            raise DamagedError(
                f"'{trained.tested}' gives {name} {getattr(again, name):.4f}, the result of the "
                f"run says {said:.4f}",
                "run it again",
            )
    return (
        "The test row was computed from the scores of the run when this card was written. The "
        "scores are not shared, for they name clips: to a reader it is as stated by its author."
    )


def _encoders(trained: Trained) -> str:
    rows = encoder_rows(trained)
    return markdown_rows(tuple(rows[0]), [tuple(map(escaped, row.values())) for row in rows]) + (
        "\n\nThe encoders are not part of this repository; they are loaded by name and revision, "
        "under their own licences. One that was given as a local file or folder is looked for at "
        "the path that was recorded."
    )


def _classes(trained: Trained) -> str:
    seen = set(trained.seen)
    unseen = [name for name in trained.classes if name not in seen]
    return (
        f"{len(seen)} seen (trained on clips): {', '.join(map(escaped, trained.seen))}.\n\n"
        f"{len(unseen)} unseen (only the names were known): {', '.join(map(escaped, unseen))}."
    )


def _described(trained: Trained) -> str:
    """What the text encoder read in the place of the names, where it did."""
    behind = [part.get("descriptions", {}) for part in trained.text.parts]
    found = {
        name: lines for one in behind for name, lines in one.items() if name in trained.classes
    }
    if not found:
        return ""
    rows = [(escaped(name), escaped("; ".join(lines))) for name, lines in found.items()]
    return "\n\nThe text encoder read descriptions of them.\n\n" + markdown_rows(
        ("class", "read as"), rows
    )


def _provenance(trained: Trained) -> str:
    result = trained.result
    facts = {
        "method": result.method,
        "data": f"{result.dataset} ({result.setting})" if result.setting else result.dataset,
        "text rows": result.text_alignment,
        "seed": result.seed,
        "epochs": result.epoch,
        "gamma": f"{result.gamma:.6g}",
        "parameters": f"{result.parameters:,}",
        "store fingerprint": result.store_fingerprint,
        **{f"version of {name}": version for name, version in result.versions.items()},
    }
    return markdown_rows(
        ("", ""), [(escaped(name), escaped(str(value))) for name, value in facts.items()]
    )
