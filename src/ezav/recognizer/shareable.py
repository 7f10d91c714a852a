"""Recognisers on disk and on the hub: opened, saved, and described by a card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin

from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.extraction.reading import Limits
from ezav.recognizer.card import frozen_card, model_card
from ezav.recognizer.find import find
from ezav.recognizer.folder import read, save
from ezav.recognizer.frozen import Frozen
from ezav.recognizer.frozen_folder import named, save_frozen
from ezav.recognizer.names import Names
from ezav.recognizer.reading import ClipReader
from ezav.recognizer.teachable import Teachable
from ezav.recognizer.trained import Trained
from ezav.signing import require_signature as _require_signature


class Shareable(Teachable, ModelHubMixin, library_name="ezav", tags=["audio-visual", "zero-shot"]):
    """A recogniser that is loaded from a folder or the hub, and written to one."""

    # Not None while an instance is made: else the mixin copies the arguments, weights and all,
    # to write them as a config.
    _hub_mixin_config: dict[str, Any] | None = {}  # noqa: RUF012

    def __init__(
        self,
        trained: Trained | Frozen,
        import_code: bool = False,
        device: str = "cpu",
        limits: Limits | None = None,
        reader: ClipReader | None = None,
    ) -> None:
        super().__init__(trained, import_code, device, limits, reader)
        self._hub_mixin_config = None

    @classmethod
    def load(
        cls,
        run: str | Path,
        device: str = "cpu",
        import_code: bool = False,
        limits: Limits | None = None,
        reader: ClipReader | None = None,
        require_signature: str | Path | None = None,
    ) -> Self:
        """From a run folder, a folder that `save_pretrained` wrote, or a hub id "owner/name".

        Args:
            run: where it is.
            device: where the method and the encoders run; "auto" is a GPU where there is one.
            import_code: import the method and the encoders of one's own that the run names
                (`docs/concepts/trust.md`). Without it a run of such a method is refused, and one
                with such an encoder takes stored features only.
            limits: time and memory that reading one file may cost.
            reader: one that has been started for the run already.
            require_signature: a public key (a PEM file), with which all of the run must be signed
                (:mod:`ezav.signing`).

        Raises:
            EzavError: there is none, it is damaged, or of another version.
            RefusedError: its method would have to be imported, or it is not signed with the key.
            UnavailableError: no such device.
        """
        device = choose_device(device)
        folder = find(run)
        if require_signature is not None:
            _require_signature(folder, require_signature)
        return cls(read(folder, device, import_code), import_code, device, limits, reader)

    def save(self, folder: str | Path, classes: Names | None = None) -> None:
        """Write a folder that :meth:`load` and the commands open, as `save_pretrained` does.

        Of a frozen recogniser it holds no weights: its encoders by name and digest, the names, and
        what :meth:`calibrate` learned.

        Args:
            folder: where to.
            classes: of a frozen recogniser, the candidates where none are asked for.

        Raises:
            EzavError: names for a trained run, which has its own; or a bad list of names.
        """
        if isinstance(self.trained, Frozen):
            save_frozen(self._frozen(classes), Path(folder))
            return
        if classes is not None:
            raise EzavError("a trained run has classes of its own", "leave `classes` out")
        self.save_pretrained(folder)

    def _frozen(self, classes: Names | None = None) -> Frozen:
        assert isinstance(self.trained, Frozen)
        if classes is None:
            return replace(self.trained, calibration=self.calibration)
        self.candidates(classes)  # raises: a bad list
        return replace(self.trained, calibration=self.calibration, names=named(classes))

    def _save_pretrained(self, save_directory: Path) -> None:
        if isinstance(self.trained, Frozen):
            save_frozen(self._frozen(), save_directory)
        else:
            save(self.trained, save_directory)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str = "cpu",
        import_code: bool = False,
        limits: Limits | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        require_signature: str | Path | None = None,
    ) -> Self:
        """From a folder that `save_pretrained` wrote, or a hub id "owner/name"; see :meth:`load`.

        Raises:
            EzavError: there is none, no access or network, damaged, or of another version.
        """
        device = choose_device(device)  # before anything is downloaded
        folder = find(
            pretrained_model_name_or_path,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls.load(folder, device, import_code, limits, None, require_signature)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The model card, with the run's own numbers, classes, encoders and licences."""
        if isinstance(self.trained, Frozen):
            return frozen_card(self.trained)
        return model_card(self.trained)
