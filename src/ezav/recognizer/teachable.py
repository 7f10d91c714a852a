"""Teaching: classes by a few clips, other names, fewer; without training."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from torch import Tensor

from ezav.errors import EzavError, NotFoundError
from ezav.features.feature_set import FeatureSet
from ezav.methods.base import Method
from ezav.naming import same, shown
from ezav.recognizer.clip_scorer import ClipScorer, Media
from ezav.recognizer.folder import save_taught
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.lessons import TaughtClass, add_lessons, appearances, refusal
from ezav.recognizer.names import read_names
from ezav.recognizer.taught import Taught, TaughtMethod, taught_model


class Teachable(ClipScorer):
    """A recogniser that takes over what it is shown. Nothing is learned without being asked."""

    @property
    def taught(self) -> dict[str, int]:
        """Class -> how many clips it was taught by."""
        return self.trained.taught.counts

    @property
    def unteachable(self) -> str:
        """Why it cannot be taught by clips; empty where it can."""
        error = refusal(self._method, self.trained.appearance)
        return "" if error is None else str(error)

    def apart(self) -> Self:
        """The same recogniser, to be taught by itself; encoders and reader are shared."""
        other = copy.copy(self)
        other.become(self.trained)
        return other

    def teach(
        self, clips: Mapping[str, Media | Sequence[Media] | FeatureSet]
    ) -> tuple[TaughtClass, ...]:
        """Take up new classes, or know old ones better, by one to twenty clips each.

        A clip's score for such a class is that of its name, and a weight times how alike it is to
        the clips shown (:mod:`ezav.methods.common.few_shot`). All is taken over, or nothing.

        Args:
            clips: class -> clips that show it: files, decoded or encoded clips, or stored
                features.

        Returns:
            What became of each class.

        Raises:
            EzavError: a clip cannot be read, or shows two classes; too many clips; a bad name; the
                text encoder is not available for a new one; the run is one of before this was
                learned.
        """
        names = read_names(list(clips), self.classes)
        wanted = {}
        for asked, shown_by in zip(names, clips.values(), strict=True):
            name = asked.name if asked.row is None else self.classes[asked.row]
            features = self._features_of(asked.name, shown_by)
            parts = appearances(self._method, features, self.trained.appearance)
            wanted[name] = name in self.model.classes.names, parts, features.clips
        taught, said = add_lessons(self.trained.taught, wanted, self._vectors_of)
        self._take(taught)
        return said

    def forget(self, name: str) -> None:
        """Take a class away: it is no candidate any more unless it is typed.

        Raises:
            NotFoundError: there is no such class.
            EzavError: it is the last one of a trained run.
        """
        name = self._called(name)
        if len(self.classes) == 1 and not self.is_frozen:
            raise EzavError(f"'{shown(name)}' is the last class: none would be left")
        taught = self.trained.taught
        lessons = tuple(one for one in taught.lessons if one.name != name)
        old = self._of_run(name)
        renamed = {own: now for own, now in taught.renamed.items() if own != old}
        forgotten = (*taught.forgotten, old) if old else taught.forgotten
        self._take(Taught(lessons=lessons, forgotten=forgotten, renamed=renamed))

    def unlearn(self, name: str) -> None:
        """Take away the clips that a class was taught by; one that had nothing else goes.

        Raises:
            NotFoundError: no clips taught such a class.
        """
        lessons = self.trained.taught.lessons
        left = tuple(one for one in lessons if same(one.name) != same(name))
        if len(left) == len(lessons):
            raise NotFoundError(f"no clip was shown of '{shown(name)}'")
        self._take(replace(self.trained.taught, lessons=left))

    def rename(self, old: str, new: str) -> None:
        """Call a class otherwise; what is known of it stays.

        Raises:
            NotFoundError: there is no such class.
            EzavError: the new name is that of another class, or none.
        """
        name = self._called(old)
        others = [one for one in self.classes if one != name]
        (asked,) = read_names([new], others)
        if asked.row is not None:
            raise EzavError(f"'{shown(others[asked.row])}' is another class", "choose another name")
        taught, of_run = self.trained.taught, self._of_run(name)
        lessons = tuple(
            replace(one, name=asked.name) if one.name == name else one for one in taught.lessons
        )
        renamed = dict(taught.renamed)
        if of_run:
            renamed[of_run] = asked.name
            if of_run == asked.name:
                del renamed[of_run]
        self._take(replace(taught, lessons=lessons, renamed=renamed))

    def save_taught(self, folder: str | Path) -> None:
        """Write what was taught into the run folder that this was loaded from, in one step.

        A signature of it goes. :meth:`save_pretrained` writes a folder of its own instead.

        Raises:
            EzavError: it cannot be written, or was taught by another since it was loaded.
        """
        name = save_taught(self.trained, Path(folder))
        taught = replace(self.trained.taught, kept_in=name)
        self.become(replace(self.trained, taught=taught))

    @property
    def _method(self) -> Method:
        method = self.model.method
        return method.inner if isinstance(method, TaughtMethod) else method

    def _features_of(self, name: str, clips: Media | Sequence[Media] | FeatureSet) -> FeatureSet:
        if isinstance(clips, FeatureSet):
            self.check_dims(clips)
            found = clips
        else:
            encoded = self.encode([clips] if isinstance(clips, Media) else list(clips))
            for one in encoded:
                if one.error:
                    raise EzavError(f"'{shown(str(one.path))}' cannot be read: {one.error}")
            found = self.features(encoded)
        if not len(found):
            raise EzavError(f"no clip shows '{shown(name)}'", "give at least one")
        return found

    def _vectors_of(self, name: str, known: bool) -> tuple[Tensor, Tensor]:
        """Class embedding and raw text embedding."""
        if known:
            vectors = self.model.classes.select([name]).vectors
            return vectors[0], self.text.select([name]).vectors[0]
        listed = self.trained.listed if isinstance(self.trained, Frozen) else {}
        behind = {name: lines} if (lines := listed.get(name, ())) else {}
        candidates = self.candidates(behind or [name])
        text = self.encoders.encode_names([name], descriptions=behind)
        return candidates.new_vectors[0], text[0]

    def _called(self, name: str) -> str:
        """A class by its name, in any case and spacing."""
        found = [one for one in self.classes if same(one) == same(name)]
        if not found:
            near = ", ".join(f"'{shown(one)}'" for one in self.classes[:3])
            raise NotFoundError(f"no class '{shown(name)}'", f"there are {near}, …" if near else "")
        return found[0]

    def _of_run(self, name: str) -> str:
        """What the run itself calls a class of its own; empty of one that was only taught."""
        trained = self.trained
        own: Iterable[str] = (trained.base or (trained.model, trained.text))[0].classes.names
        if isinstance(trained, Frozen):
            own = trained.names
        taught = trained.taught
        now = {taught.renamed.get(old, old): old for old in own if old not in taught.forgotten}
        return now.get(name, "")

    def _take(self, taught: Taught) -> None:
        trained = self.trained
        taught = replace(taught, kept_in=trained.taught.kept_in)
        base_model, base_text = trained.base or (trained.model, trained.text)
        model, text = taught_model(base_model, base_text, taught, trained.appearance)
        base = None if taught.empty else (base_model, base_text)
        self.become(replace(trained, model=model, text=text, taught=taught, base=base))
