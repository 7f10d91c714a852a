"""From tensors to the typed answer for one clip."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from ezav.recognizer.candidates import Candidates
from ezav.recognizer.explain import Explanation
from ezav.recognizer.prediction import Candidate, Moment


def ranked(
    candidates: Candidates,
    columns: Tensor,
    stacked: Tensor,
    probabilities: Tensor | None,
    why: Explanation | None,
) -> tuple[Candidate, ...]:
    """The candidates of these columns, as typed values (whole rows to lists: many times faster)."""
    scores = stacked[columns].tolist()
    chances = [None] * len(columns) if probabilities is None else probabilities[columns].tolist()
    modalities = {} if why is None else {m: x[columns].tolist() for m, x in why.modalities.items()}
    moments = [()] * len(columns) if why is None else _moments(why, columns)
    return tuple(
        Candidate(
            name=candidates.names[column],
            kind=candidates.kinds[column],
            score=scores[place],
            probability=chances[place],
            known_as=candidates.known_as[column],
            contributions={name: values[place] for name, values in modalities.items()},
            moments=tuple(moments[place]),
        )
        for place, column in enumerate(columns.tolist())
    )


def _moments(why: Explanation, columns: Tensor) -> list[list[Moment]]:
    """Of each column. A moment without a token, or the only one with any, is left out."""
    spans = list(pairwise(why.edges.tolist()))
    alone, lost = why.alone[:, columns].T.tolist(), why.moments[:, columns].T.tolist()
    return [
        [
            Moment(start=start, end=end, alone=probability, contribution=contribution)
            for (start, end), probability, contribution in zip(spans, *rows)
            if probability == probability and contribution == contribution
        ]
        for rows in zip(alone, lost)
    ]
