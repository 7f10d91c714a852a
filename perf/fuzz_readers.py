"""What reads the files of others, for the table of `fuzz_targets.py`.

A reader takes a folder of files and those of them that were changed, one or two, and reads them as
the product does; what it raises is judged by the worker.
"""

from __future__ import annotations

import importlib
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ezav.errors import EzavError

READ = "read to the end"


Changed = list[Path]


def alone(*readers: tuple[str, Callable[[Path], Any]]) -> Callable[[Path, Changed], None]:
    """Read each changed file by the readers of its name; the last refusal is told at the end."""

    def read(_: Path, changed: Changed) -> None:
        refused: EzavError | None = None
        for path in changed:
            for pattern, one in readers:
                try:
                    if path.match(pattern):
                        one(path)
                except EzavError as error:
                    refused = error
        if refused is not None:
            raise refused

    return read


def late(module: str, name: str, *rest: Any) -> Callable[[Path], Any]:
    """A function of the product's that is imported when it is called."""

    def call(path: Path) -> Any:
        return getattr(importlib.import_module(module), name)(path, *rest)

    return call


def read_store(folder: Path, _: Changed) -> None:
    from ezav.checking import at_a_glance
    from ezav.features import FeatureStore
    from ezav.features.redraw import redrawn
    from ezav.features.verify import verify_store

    verify_store(folder)
    store = FeatureStore.open(folder)
    store.class_embeddings()
    store.select("train")
    at_a_glance(store)
    redrawn(store, ())


def resume_store(folder: Path, _: Changed) -> None:
    from ezav.extraction.resume import changed_files
    from ezav.features import StoreWriter
    from ezav.features.header import parse_header

    header = parse_header((folder / "given.json").read_bytes(), folder / "given.json")
    with StoreWriter(folder, header) as writer:
        changed_files(folder, writer.records, {})


def read_run(folder: Path, _: Changed) -> None:
    from ezav.protocol.run_folder import read_evaluation_file
    from ezav.protocol.verify import verify_run
    from ezav.recognizer import Recognizer
    from ezav.recognizer.card import card_text

    verify_run(folder)
    read_evaluation_file(folder / "test.safetensors")
    with Recognizer.load(folder) as found:
        card_text(found.trained)


def read_reported(folder: Path, _: Changed) -> None:
    from ezav.reports.runs import Run
    from ezav.reports.summary import notes, summary_rows

    run = Run.read(folder)
    assert run.predictions is not None
    assert run.text is not None
    assert run.classes is not None
    notes(summary_rows([run.result]))


def read_recipe(path: Path) -> None:
    from ezav.recipes import load_recipe

    load_recipe.cache_clear()
    load_recipe(path)


def use_recipe(folder: Path, _: Changed) -> None:
    from ezav.features import FeatureStore
    from ezav.recipes import load_recipe, protocol_for

    load_recipe.cache_clear()
    protocol_for(str(folder / "recipe.yaml"), FeatureStore.open(folder / "store"))


def list_videos(path: Path) -> None:
    from ezav.extraction.listing import list_videos

    list_videos(path, groups=["tape"])


def media_files(path: Path) -> None:
    from ezav.answers.media import media_files

    media_files([path])


def a_checkpoint(path: Path) -> None:
    from ezav.training.checkpoint import Checkpoint

    Checkpoint(path, "key").load()


def class_embeddings(path: Path) -> None:
    from ezav.classes.embeddings import ClassEmbeddings

    ClassEmbeddings.load(path)


def importing(layout: str, dataset: str) -> Callable[[Path, Changed], None]:
    def read(folder: Path, _: Changed) -> None:
        from ezav.features.importers import import_features

        out = folder.parent / "imported"
        shutil.rmtree(out, ignore_errors=True)
        warnings.simplefilter("ignore")
        import_features(layout, folder, out, dataset=dataset, setting="cls")  # type: ignore[arg-type]

    return read


def read_names(path: Path) -> None:
    from ezav.cli.common import read_names
    from ezav.recognizer.names import asked

    asked(read_names(path))


def correct_table(path: Path) -> None:
    from ezav.answers import correct

    correct(path, {"a.mp4": "dog"})


def read_journal(folder: Path, _: Changed) -> None:
    from ezav.answers.journal import Journal

    Journal(folder / "a.journal", "one list").close()


def recordings(path: Path) -> None:
    from ezav.answers.journal import Journal
    from ezav.library.index import Recording

    with Journal(path, "any", what="recordings", drop=False) as journal:
        [Recording.of(one) for one in journal.entries.values()]


def search_vectors(path: Path) -> None:
    import torch

    from ezav.library.vectors import _read as read_vectors

    if (found := read_vectors(path)) is not None:
        found.nearest(torch.zeros(found.values.shape[1]), 3)


def read_taught(folder: Path, _: Changed) -> None:
    from ezav.recognizer import Recognizer

    with Recognizer.load(folder) as found:
        assert found.taught is not None


def read_frozen(folder: Path, _: Changed) -> None:
    import ezav.recognizer.frozen_folder as reader
    from ezav.recognizer import Recognizer

    reader.frozen = _enough  # else each input would load the encoders
    try:
        Recognizer.load(folder, import_code=False).close()
    except EzavError as error:
        if str(error) != READ:
            raise


def _enough(*_: Any) -> None:
    raise EzavError(READ)


def read_signed(folder: Path, _: Changed) -> None:
    from ezav.signing import require_signature

    require_signature(folder / "run", folder / "key.pem")


def read_study(folder: Path, _: Changed) -> None:
    from ezav.benchmarks.study import finished, kept, open_study, take_up

    with kept(folder):
        study = open_study(folder)
        take_up(study, {}, [])
        finished(study)


def read_encoder(folder: Path, _: Changed) -> None:
    from ezav.encoders.registry import load_text

    load_text("clip", source=folder)


def read_message(folder: Path, _: Changed) -> None:
    """What a worker answers that a file has taken over."""
    from ezav.extraction.encoded import EncodedClip
    from ezav.extraction.pool import _NONSENSE
    from ezav.extraction.wire import unpack

    with suppress(_NONSENSE):
        EncodedClip.of(*unpack((folder / "clip.message").read_bytes()), folder).checked()


def digests_off() -> None:
    """In this process, from now on: digests are not compared."""
    import ezav.features.index
    import ezav.manifest

    ezav.features.index._digests = lambda *_: {}
    ezav.manifest.read_manifest = lambda *_: None
