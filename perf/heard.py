"""What the labels of sounds add to `best` as a sixth member, over many choices of unseen classes.

    python perf/heard.py --store STORE --unseen 5 --sources FILE COLUMN [--splits 20]

Stores, `--sources` and `--kinds` are those of `perf/splits.py`. The member is the evidence of
aiSFX's labels (:func:`ezav.encoders.words.evidence`) in a clip's mean sound, what labels usually
are being their mean over the training clips; its weight starts at 0.1. All else is as in
`perf/stack.py`; differences are paired.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ezav.encoders.labelled import knows_labels
from ezav.encoders.registry import load_audio, load_text
from ezav.encoders.words import WordReader, evidence
from ezav.methods.best.logit import FoldScores, fit_stack
from ezav.methods.best.method import GAMMA
from ezav.methods.common.centring import centred
from ezav.metrics import gzsl_scores
from splits import Clips, Split, options, splits_of, told
from stack import folds_of_classes, gamma_of, stacked

START = 0.1


def shares_of(clips: Clips, reader: WordReader) -> Tensor:
    """The labels' probabilities `[N, L]`; zeros of clips without sound."""
    shares = torch.from_numpy(reader.shares(clips.audio.mean().float().numpy()))
    return shares * clips.audio.present[:, None]


def with_heard(
    base: FoldScores, heard: Tensor, names: Tensor, train: Tensor, trained: Tensor, labels: Tensor
) -> FoldScores:
    """The members of some clips, and what their sounds' labels say.

    Args:
        base: the other members.
        heard: shares `[N, L]` of the same clips.
        names: text of the candidates.
        train, trained: shares of the training clips, text of their classes.
        labels: text of the labels `[L, d]`.
    """
    mean, known = labels.mean(dim=0), train[train.amax(dim=1) > 0]
    apart, usual = centred(labels, mean), known.mean(dim=0)
    scale = evidence(known, usual, apart, centred(trained, mean)).std(correction=0)
    found = evidence(heard, usual, apart, centred(names, mean)) / scale
    found = found * (heard.amax(dim=1, keepdim=True) > 0)
    members = torch.cat([base.members, found[:, :, None].to(base.members)], dim=2)
    return FoldScores(members, base.targets, base.seen)


def numbers_of(clips: Clips, split: Split, shares: Tensor, labels: Tensor) -> tuple[float, float]:
    """HM of `best` and of it with one member more, in percent."""
    folds, test, start, learned = stacked(clips, split)
    text = clips.text.float()
    more = [
        with_heard(
            base,
            shares[split.known[fold.held_out]],
            text[split.seen],
            shares[split.known[fold.train]],
            text[seen],
            labels,
        )
        for (fold, seen), base in zip(folds_of_classes(clips, split), folds, strict=True)
    ]
    own = shares[split.known], text[split.seen]
    last = with_heard(test, shares[split.test], text, *own, labels)
    begin = torch.cat([start, torch.tensor([START], dtype=torch.float64)])
    longer = fit_stack(more, begin, GAMMA, 0.7 / int(split.seen.sum()))
    found = []
    for some, on, stack in ((folds, test, learned), (more, last, longer)):
        scores = stack.scores(on.members.double(), on.seen)
        found.append(100 * gzsl_scores(scores, on.targets, on.seen, gamma_of(some, stack)).HM)
    return found[0], found[1]


def main() -> None:
    given = options(__doc__, first=1000).parse_args()
    encoder = load_audio("aisfx")
    assert knows_labels(encoder)
    reader = WordReader(encoder, load_text("minilm"))
    labels = torch.from_numpy(reader.vectors.copy())
    found: list[tuple[float, float]] = []
    for _, clips, split in splits_of(given):
        found.append(numbers_of(clips, split, shares_of(clips, reader), labels))
    plain, longer = zip(*found, strict=True)
    print(f"{len(found)} class splits, HM, percent, mean ± standard error, paired")
    print(f"best {told(list(plain))}, with what sounds' labels say {told(list(longer))}")
    print(f"difference {told([b - a for a, b in found], '+')}")


if __name__ == "__main__":
    main()
