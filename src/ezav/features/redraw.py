"""Other splits for a finished store, for a run: other unseen classes, none, or whole sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow.compute as pc

from ezav.errors import EzavError
from ezav.features.header import SplitOrigin
from ezav.features.index import OK
from ezav.features.sources import check_sources
from ezav.features.splits import draw_splits
from ezav.features.store import FeatureStore

NO_CLASS = "none"
"""What stands for no unseen class where names are typed."""


def redrawn(
    store: FeatureStore,
    unseen: Collection[str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> FeatureStore:
    """The store with other splits of its clips; on disk it stays as it is.

    Args:
        store: a store.
        unseen: the classes never to be trained on, `()` for none; None keeps those it has.
        sources: clip -> what it was cut from; None keeps what the store knows. Drawn splits are
            drawn again with whole sources; splits that were given are checked.

    Raises:
        EzavError: see :func:`ezav.features.splits.draw_splits`; a clip that the store lacks; given
            splits with a source on two sides.

    Example:
        >>> closed = redrawn(store, unseen=())
        >>> closed.is_closed, closed.fingerprint == store.fingerprint
        (True, False)
    """
    if unseen is None and sources is None:
        return store
    of = store.sources if sources is None else dict(sources)
    rows = store.index.filter(pc.equal(store.index.column("status"), OK))
    clips, names, split = (rows.column(one).to_pylist() for one in ("clip", "class", "split"))
    _check_known(of, set(store.index.column("clip").to_pylist()), len(clips))
    origin = store.header.splits
    drawn = origin is not None and origin.how == "drawn"
    if unseen is None and not drawn:
        kept = dict(zip(clips, split))
        check_sources(kept, of)
        return store.with_splits(kept, origin or SplitOrigin(how="manifest"), of)
    seed = origin.seed if origin is not None and origin.seed is not None else 0
    if unseen is None:
        unseen = () if store.is_closed else store.split_classes("test_unseen")
    made = draw_splits(clips, names, unseen, seed, of)
    return store.with_splits(made, SplitOrigin(how="drawn", seed=seed, detail=told(unseen, of)), of)


def drawn_for(
    store: FeatureStore,
    fingerprint: str,
    unseen: Collection[str],
    sources: Mapping[str, str] | None = None,
) -> FeatureStore | None:
    """The store as a run had it, with the splits that it was drawn; None where it is another store.

    Args:
        store: as it lies on disk.
        fingerprint: of the store that the run says it was made on.
        unseen: the run's unseen classes.
        sources: clip -> what it was cut from, where the run was told.

    Example:
        >>> closed = redrawn(store, unseen=())
        >>> drawn_for(store, closed.fingerprint, ()).is_closed, drawn_for(store, "another", ())
        (True, None)
    """
    for wanted in (None, tuple(unseen)):
        try:
            view = redrawn(store, wanted, sources)
        except EzavError:  # of a store that lacks these classes or clips
            continue
        if view.fingerprint == fingerprint:
            return view
    return None


def told(unseen: Collection[str] | None, sources: Mapping[str, str]) -> str:
    """What a draw was asked for, as a store says it.

    Example:
        >>> told(["rain", "dog"], {"a.mp4": "tape"}), told((), {})
        ('unseen: dog, rain; whole sources', 'unseen: none')
    """
    parts = []
    if unseen is not None:
        parts.append("unseen: " + (", ".join(sorted(unseen)) or NO_CLASS))
    return "; ".join([*parts, *["whole sources"] * bool(sources)])


def named_unseen(typed: Collection[str] | None, classes: Collection[str]) -> tuple[str, ...] | None:
    """Unseen classes as they are typed; `none` alone stands for no class, unless one is called so.

    Example:
        >>> named_unseen(["none"], ["dog"]), named_unseen(["none"], ["none", "dog"])
        ((), ('none',))
    """
    if typed is None:
        return None
    if list(typed) == [NO_CLASS] and NO_CLASS not in classes:
        return ()
    return tuple(typed)


def _check_known(sources: Mapping[str, str], clips: Collection[str], readable: int) -> None:
    strange = sorted(set(sources) - set(clips))
    if len(strange) == len(sources) and sources:
        raise EzavError(
            f"the groups name no clip of the store, the first is '{strange[0]}'",
            "paths must be those of the store's clips: 'ezav features info' shows some",
        )
    if strange:
        raise EzavError(
            f"the groups name '{strange[0]}', which is no clip of the store ({len(strange)} such)",
            "leave it out",
        )
