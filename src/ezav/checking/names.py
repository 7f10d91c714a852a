"""Class names that say too little, and those that an encoder has met in its own training."""

from __future__ import annotations

import torch.nn.functional as F

from ezav.checking.finding import Finding
from ezav.classes.embeddings import ClassEmbeddings
from ezav.encoders.seen import seen_by
from ezav.features.header import EncoderInfo
from ezav.features.unread import remarks_of

HARDLY = 0.95
"""Cosine of two names from which a text encoder hardly tells them apart."""


def doubtful_names(text: ClassEmbeddings) -> list[Finding]:
    """Names that the text encoder does not read, or cannot or hardly tell apart.

    Example:
        >>> import torch
        >>> text = ClassEmbeddings(("dog", "hound", "rain"), torch.eye(2)[[0, 0, 1]])
        >>> [one.said for one in doubtful_names(text)]
        ["'dog', 'hound' are one vector to the text encoder: it cannot tell them apart"]
    """
    found = [Finding(kind="name", said=remark) for remark in remarks_of(text)]
    rows = F.normalize(text.vectors.double(), dim=1)
    cosines = (rows @ rows.T).triu(diagonal=1)
    near = ((cosines >= HARDLY) & (cosines < 1 - 1e-8)).nonzero()
    for first, second in sorted(near.tolist(), key=lambda pair: -float(cosines[*pair])):
        one, other, cosine = text.names[first], text.names[second], float(cosines[first, second])
        found.append(
            Finding(
                kind="name",
                class_name=one,
                other=other,
                score=round(cosine, 4),
                said=f"'{one}' and '{other}' are nearly one to the text encoder ({cosine:.2f})",
            )
        )
    return found


def known_classes(
    encoders: tuple[EncoderInfo, ...], classes: tuple[str, ...], unseen: tuple[str, ...]
) -> list[Finding]:
    """Classes that an encoder has met under a label of its own training, unseen ones first.

    Example:
        >>> made = (EncoderInfo(modality="visual", name="efficientnet", dimension=1280),)
        >>> [one.said for one in known_classes(made, ("trombone", "rain"), ())]
        ["efficientnet was trained on 'trombone'", "efficientnet was perhaps trained on 'rain' ...
    """
    kinds = [(one.modality, one.name) for one in encoders if one.modality != "text"]
    found = []
    for encoder, matches in seen_by(kinds, classes).items():
        for match in matches:
            sure = match.kind == "same"
            label = "" if sure else f" (its label '{match.label}')"
            mark = "; it stands among the unseen classes" if match.class_name in unseen else ""
            found.append(
                Finding(
                    kind="known",
                    class_name=match.class_name,
                    other=match.label,
                    said=f"{encoder} was {'' if sure else 'perhaps '}trained on "
                    f"'{match.class_name}'{label}{mark}",
                )
            )
    return sorted(found, key=lambda one: (one.class_name not in unseen, "perhaps" in one.said))
