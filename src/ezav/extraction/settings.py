"""How an extraction is done: what the function `extract` and the command `ezav extract` share."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from ezav.errors import EzavError
from ezav.extraction.reading import Reading


@dataclass(frozen=True, kw_only=True)
class ExtractSettings(Reading):
    """How clips are split, encoded and stored; `seconds`, `memory`, `use_damaged` and `decoder`
    say how a file is read (:class:`ezav.extraction.Reading`).

    Raises:
        EzavError: a value that makes no sense.

    Example:
        >>> ExtractSettings(workers=4).with_(workers=2, retry=True).workers
        2
    """

    unseen: tuple[str, ...] | None = None
    """Keep these classes out of training; by default a seeded draw takes a quarter of the classes,
    unless the manifest has splits. With `none` every class is trained on, and tested on other
    clips."""
    groups: tuple[str, ...] = ()
    """Name the manifest's column that says what a clip was cut from (of several, their values
    together): no recording is then both trained on and tested on."""
    seed: int = 0
    """Draw the splits from this seed."""
    device: str = "cpu"
    """Run neural encoders here: on cpu (in the workers, one clip at a time), or on cuda (in the
    calling process, in batches)."""
    workers: int | None = None
    """Decode and encode in so many processes; by default one for each CPU. On Ray, each actor has
    so many, by default 1."""
    engine: Literal["local", "ray"] = "local"
    """Work in processes of this machine, or on a Ray cluster (pip install 'ezav[cluster]')."""
    ray_address: str | None = None
    """Use the Ray cluster at this address, 'auto' or host:port; by default one is started on this
    machine."""
    gpus: float = 0
    """Give each Ray actor so many GPUs."""
    shard: str | None = None
    """Do only the i-th of n parts, written i/n, for job arrays. Once all parts are done, the same
    command without it puts them together."""
    half: bool = False
    """Store features in half precision (float16): half the disk, three digits."""
    retry: bool = False
    """Try again the clips that could not be read earlier."""
    allow_outside: bool = False
    """Accept manifest paths that are absolute or lead out of the manifest's folder."""

    @property
    def notes(self) -> list[str]:
        """What of this changes the features, as the store's header says it."""
        return ["float16"] * self.half + ["torchcodec"] * (self.decoder == "torchcodec")

    def with_(self, **changes: Any) -> ExtractSettings:
        """The settings with some of them changed.

        Raises:
            EzavError: there is no such setting.

        Example:
            >>> ExtractSettings().with_(retri=True)
            Traceback (most recent call last):
            ...
            ezav.errors.EzavError: extraction has no setting 'retri'; did you mean `retry`?
        """
        known = [one.name for one in fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise EzavError(f"extraction has no setting '{name}'", hint)
        return replace(self, **changes)
