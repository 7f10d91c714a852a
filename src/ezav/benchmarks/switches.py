"""What the ablations of EZ-AVGZL try: tables of switches, each away from the full method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from ezav.features.store import FeatureStore
from ezav.protocol.labels import has_labels

ALPHAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
MARGINS = (0.01, 0.05, 0.1, 0.2, 0.5)
DEPTHS = (0, 1, 2, 6)
MEMBERS = (1, 3)
FOLDS = 4


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One row: what it is called, and the settings that differ from the full method's.

    Attributes:
        label: what the table calls it.
        config: fields of the method's config; those of `classes` one by one.
        text_encoder: another text encoder of the store.
        folds: class folds that choose; None: as the full method does.
    """

    label: str
    config: dict[str, Any] = field(default_factory=dict)
    text_encoder: str | None = None
    folds: int | None = None


def switches(store: FeatureStore) -> dict[str, list[Switch]]:
    """The tables that a store allows: text encoders and time only where it has several,
    modalities only where it has both.

    Proximity alone needs no row: its optimum is the raw text embedding, which is the row "no CEO".
    Ranking alone does: the margin pushes distances apart that the text holds almost equal.
    """
    tables = {
        "class embeddings": [
            Switch(label="no CEO: raw text embeddings", config={"classes": {"source": "raw"}}),
            _ceo("separation only", alpha=1.0),
            _ceo("ranking only", alpha=0.0),
            _ceo("separation and proximity", semantic="proximity"),
            _ceo("separation and ranking", semantic="ranking"),
            Switch(label="control: shuffled classes", config={"classes": {"shuffle": True}}),
        ],
        "alpha": [_ceo(f"alpha {alpha:g}", alpha=alpha) for alpha in ALPHAS],
        "margin": [_ceo(f"margin {margin:g}", margin=margin) for margin in MARGINS],
        "ranking": [_ceo(f"{kind} ranking", ranking=kind) for kind in ("exact", "sampled")],
        "similarity": [
            Switch(label=f"{kind} similarity", config={"similarity": kind})
            for kind in ("attention", "decoder", "cosine")
        ],
        "query": [
            Switch(label="learned query" if on else "fixed query", config={"learned_query": on})
            for on in (False, True)
        ],
        "negatives": [
            Switch(label=f"negatives: {kind}", config={"negatives": kind})
            for kind in ("batch", "distinct", "seen")
        ],
        "prior": [
            Switch(label=f"prior: {kind}", config={"prior": kind})
            for kind in ("none", *(("frozen",) if _knows_labels(store) else ()), "closed")
        ],
        "members": [Switch(label=f"members: {k}", config={"members": k}) for k in MEMBERS],
        "folds": [
            Switch(label=f"{folds} class folds" if folds else "validation part", folds=folds)
            for folds in (0, FOLDS)
        ],
        "depth": [Switch(label=f"L = {depth}", config={"layers": depth}) for depth in DEPTHS],
    }
    most = _most_tokens(store)
    if min(most) > 0:
        tables["modalities"] = [
            Switch(label=kind if kind == "both" else f"{kind} only", config={"modalities": kind})
            for kind in ("both", "audio", "visual")
        ]
    if len(store.encoders) > 1:
        tables["text encoder"] = [
            Switch(label=f"text: {name}", text_encoder=name) for name in store.encoders
        ]
    if max(most) > 1:
        tables["time"] = [
            Switch(label=name, config={"temporal": name == "temporal"})
            for name in ("pooled", "temporal")
        ]
    return tables


def _ceo(label: str, **settings: Any) -> Switch:
    """Class embeddings by optimisation, with some of its settings."""
    return Switch(label=label, config={"classes": {"source": "ceo", **settings}})


def _knows_labels(store: FeatureStore) -> bool:
    """An encoder of the store has labels that the text encoder can read."""
    return has_labels(store.header, store.class_embeddings().encoder)


def _most_tokens(store: FeatureStore) -> list[int]:
    """The most tokens that a clip has, of audio and of visual features; 0: no clip has any."""
    return [pc.max(store.index[name]).as_py() or 0 for name in ("audio_tokens", "visual_tokens")]
