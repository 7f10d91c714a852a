"""Where clips of one class lie near each other, and what that is worth in a method's scores.

A method that has no such space of its own (:meth:`ezav.methods.base.Method.appearance`) gets that
of the features: standardised over the known clips, at unit length. Its weights are learned from the
scores that validation left: whatever the method, classes that it was not trained on are shown by a
few of their clips there, and every class counts alike, so that the others do not pay for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ezav.errors import DamagedError
from ezav.features.feature_set import FeatureSet
from ezav.features.tokens import Tokens
from ezav.manifest import check, read_manifest
from ezav.methods.base import Method
from ezav.methods.best.closed_form import UnitInput
from ezav.methods.common.few_shot import USUAL, FewShot, FewShotFold, fit_few_shot
from ezav.protocol.evaluation import Evaluation
from ezav.protocol.files import APPEARANCE
from ezav.protocol.open_set import fit_temperature
from ezav.safe_io import atomic_path

if TYPE_CHECKING:
    from ezav.protocol.fitted import FittedProtocol

_SHARPNESS = 3.0
"""Of the softmax of scores in the unit of :data:`~ezav.methods.common.few_shot.USUAL`."""
_MOST_CLIPS = 1000
"""Of an evaluation: more say no more, and cost time."""
_MOST_KNOWN = 20_000
"""Clips that the features are standardised over."""


class Appearance(nn.Module):
    """Sound `[N, audio]` and picture `[N, visual]`, standardised, at unit length; else zeros.

    Example:
        >>> look = Appearance(2, 3)
        >>> sound, picture = Tokens.pooled(torch.ones(4, 2)), Tokens.pooled(torch.ones(4, 3))
        >>> [tuple(part.shape) for part in look(sound, picture)], look.few_shot.weight
        ([(4, 2), (4, 3)], 4.25)
    """

    few_shot_: Tensor
    reads_: Tensor

    def __init__(self, audio: int, visual: int) -> None:
        super().__init__()
        self.audio, self.visual = UnitInput(audio), UnitInput(visual)
        self.register_buffer("few_shot_", torch.tensor(astuple(USUAL)))
        self.register_buffer("reads_", torch.ones(2))

    @property
    def few_shot(self) -> FewShot:
        """What likeness to a few clips of a class is worth in the scores."""
        return FewShot(*self.few_shot_.tolist())

    def forward(self, audio: Tokens, visual: Tokens) -> tuple[Tensor, Tensor]:
        sound, picture = (
            unit(tokens.mean(), tokens.present)
            for unit, tokens in ((self.audio, audio), (self.visual, visual))
        )
        return sound * self.reads_[0], picture * self.reads_[1]

    @classmethod
    def learn(cls, fitted: FittedProtocol) -> Appearance | None:
        """From the known clips and what validation scored; None: the method has its own space."""
        method = fitted.model_.method
        if type(method).appearance is not Method.appearance:
            return None
        known = fitted.protocol.reader(fitted.store).stage(2).train
        dims = method.dims
        look = cls(dims.audio, dims.visual)
        reads = method.modalities or ("audio", "visual")
        look.reads_.copy_(torch.tensor([float(one in reads) for one in ("audio", "visual")]))
        some = known.subset(_evenly(len(known), _MOST_KNOWN).to(known.device))
        for unit, clips in ((look.audio, some.audio), (look.visual, some.visual)):
            unit.fit(clips.means.cpu(), clips.lengths.cpu() > 0)
        folds = _folds(look, known, fitted.folds_ or (fitted.validation_,), fitted.gamma_)
        scores = torch.cat([fold.scores for fold in folds])
        targets = torch.cat([fold.targets for fold in folds])
        if not len(scores) or not bool(scores.isfinite().all()):
            return look
        unit_of = _SHARPNESS * fit_temperature(scores, targets)
        for fold in folds:
            fold.scores.div_(unit_of)
        found = torch.tensor(astuple(fit_few_shot(folds, _SHARPNESS, share=None)))
        look.few_shot_.copy_(found * torch.tensor([unit_of, unit_of, 1.0, 1.0]))
        return look

    def save(self, folder: Path) -> None:
        """Write the file of a run folder."""
        from safetensors.torch import save_file

        held = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
        with atomic_path(folder / APPEARANCE) as path:
            save_file(held, path)
            path.chmod(0o644)

    @classmethod
    def read(cls, folder: Path, method: Method) -> Appearance | None:
        """Of a run folder; None where the run has none.

        Raises:
            DamagedError: the file is not what was written, or does not fit the method.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / APPEARANCE
        if not path.is_file():
            if APPEARANCE in (read_manifest(folder) or {}):
                raise DamagedError(f"'{folder}' lacks '{APPEARANCE}'", "get the folder again")
            return None
        check(folder, (APPEARANCE,))
        look = cls(method.dims.audio, method.dims.visual)
        try:
            state = load_file(path)
            if not all(bool(value.isfinite().all()) for value in state.values()):
                raise ValueError("a number is not finite")
            look.load_state_dict(state)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            why = str(error).splitlines()[-1].strip()
            raise DamagedError(f"'{path}' is damaged: {why}", "get the folder again") from error
        return look.to(method.device).eval()


def _evenly(count: int, most: int) -> Tensor:
    if count <= most:
        return torch.arange(count)
    return torch.linspace(0, count - 1, most).long()


def _folds(
    look: Appearance, known: FeatureSet, evaluations: Sequence[Evaluation], gamma: float
) -> list[FewShotFold]:
    """What validation scored, of the clips that are among the known."""
    row_of = {clip: row for row, clip in enumerate(known.clips)}
    found = []
    for one in evaluations:
        here = torch.tensor([clip in row_of for clip in one.clips], dtype=torch.bool)
        rows = here.nonzero()[:, 0]
        rows = rows[_evenly(len(rows), _MOST_CLIPS)]
        places = torch.tensor([row_of[one.clips[row]] for row in rows.tolist()], dtype=torch.long)
        clips = known.subset(places.to(known.device))
        index = torch.arange(len(clips))
        with torch.inference_mode():
            parts = look(clips.audio.gather(index, True), clips.visual.gather(index, True))
        scores = one.scores[rows].double() - gamma * one.seen.double()
        found.append(
            FewShotFold(scores, one.targets[rows], one.seen, tuple(part.clone() for part in parts))
        )
    return found
