"""Where the media file of a clip is: as the store says, or under a folder of videos."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ezav.errors import EzavError, NotFoundError


@dataclass(frozen=True)
class MediaFiles:
    """Finds clips' files; nothing is found where neither store nor folder is given.

    Attributes:
        videos: the folder that relative paths start from.
        paths: clip id -> path, as the store's index has it.
        fingerprints: of that store as the runs had it, with its own splits or others.
    """

    videos: Path | None = None
    paths: dict[str, str] = field(default_factory=dict)
    fingerprints: frozenset[str] = frozenset()

    @classmethod
    def open(
        cls, store: str | Path | None, videos: str | Path | None, of: Mapping[str, Collection[str]]
    ) -> MediaFiles:
        """Read the paths of a store, which runs may have split in their own ways.

        Args:
            store: a store's folder.
            videos: the folder of its videos.
            of: fingerprint of a store that is asked for -> its unseen classes.

        Raises:
            NotFoundError: the folder of videos does not exist.
            EzavError: the store is not that of any run.
        """
        if videos is not None and not Path(videos).is_dir():
            raise NotFoundError(f"there is no folder '{videos}'", "give the folder of the videos")
        root = None if videos is None else Path(videos).resolve()
        if store is None:
            return cls(root)
        from ezav.features import FeatureStore
        from ezav.features.redraw import drawn_for

        opened = FeatureStore.open(store)
        known = frozenset(made for made, unseen in of.items() if drawn_for(opened, made, unseen))
        if not known:
            raise EzavError(
                f"no run of this report was made on the store '{store}'",
                "give the store that the runs were trained on, or leave it out; for runs that were "
                "told `groups`, name `videos`",
            )
        clips, paths = (opened.index.column(name).to_pylist() for name in ("clip", "path"))
        return cls(root, dict(zip(clips, paths)), known)

    def finder(self, fingerprint: str) -> Callable[[str], Path | None] | None:
        """For runs on the store with this fingerprint: clip id -> file, or None if there is none.

        None where nothing could be found anyway.
        """
        known = fingerprint in self.fingerprints
        if not known and self.videos is None:
            return None

        def find(clip: str) -> Path | None:
            # Without a store the clip's id is its path: extraction names clips so.
            path = Path(self.paths.get(clip) or clip) if known else Path(clip)
            if self.videos is None:
                return path if path.is_file() else None
            inside = (self.videos / path).resolve()
            # A store from elsewhere must not lead out of the folder that was named.
            return inside if inside.is_relative_to(self.videos) and inside.is_file() else None

        return find
