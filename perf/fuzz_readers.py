"""What reads the files of others: a row of `TARGETS` for each kind, for `fuzz.py`.

A reader takes a folder of files and those of them that were changed, one or two, and reads them as
the product does; what it raises is judged by the worker. A share says how many of a million inputs
it gets: the cheaper one input is, the more.
"""

from __future__ import annotations

import importlib
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ezav.errors import EzavError

READ = "read to the end"


@dataclass(frozen=True)
class Target:
    """A kind of files: a folder of valid ones, which of them are changed, and what reads them."""

    name: str
    files: tuple[str, ...]
    read: Callable[[Path, list[Path]], str | None]
    """Gives a word for what became of the input; None: it was read."""
    share: int
    """Of a million inputs, in thousands."""
    unchecked: bool = False
    """Digests are not compared: whoever changes a file can write them anew."""
    costly: bool = False
    """What native code does with an input may cost the worker; the product's workers, too."""

    @property
    def folder(self) -> str:
        """Of its valid files, in the corpus."""
        return self.name.partition(",")[0].replace(" ", "-")


Changed = list[Path]


def _alone(*readers: tuple[str, Callable[[Path], Any]]) -> Callable[[Path, Changed], None]:
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


def _late(module: str, name: str, *rest: Any) -> Callable[[Path], Any]:
    """A function of the product's that is imported when it is called."""

    def call(path: Path) -> Any:
        return getattr(importlib.import_module(module), name)(path, *rest)

    return call


def _read_store(folder: Path, _: Changed) -> None:
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


def _resume_store(folder: Path, _: Changed) -> None:
    from ezav.extraction.resume import changed_files
    from ezav.features import StoreWriter
    from ezav.features.header import parse_header

    header = parse_header((folder / "given.json").read_bytes(), folder / "given.json")
    with StoreWriter(folder, header) as writer:
        changed_files(folder, writer.records, {})


def _read_run(folder: Path, _: Changed) -> None:
    from ezav.protocol.run_folder import read_evaluation_file
    from ezav.protocol.verify import verify_run
    from ezav.recognizer import Recognizer
    from ezav.recognizer.card import card_text

    verify_run(folder)
    read_evaluation_file(folder / "test.safetensors")
    with Recognizer.load(folder) as found:
        card_text(found.trained)


def _read_reported(folder: Path, _: Changed) -> None:
    from ezav.reports.runs import Run
    from ezav.reports.summary import notes, summary_rows

    run = Run.read(folder)
    assert run.predictions is not None
    assert run.text is not None
    assert run.classes is not None
    notes(summary_rows([run.result]))


def _use_recipe(folder: Path, _: Changed) -> None:
    from ezav.features import FeatureStore
    from ezav.recipes import protocol_for

    protocol_for(str(folder / "recipe.yaml"), FeatureStore.open(folder / "store"))


def _list_videos(path: Path) -> None:
    from ezav.extraction.listing import list_videos

    list_videos(path, groups=["tape"])


def _media_files(path: Path) -> None:
    from ezav.answers.media import media_files

    media_files([path])


def _a_checkpoint(path: Path) -> None:
    from ezav.training.checkpoint import Checkpoint

    Checkpoint(path, "key").load()


def _class_embeddings(path: Path) -> None:
    from ezav.classes.embeddings import ClassEmbeddings

    ClassEmbeddings.load(path)


def _import(layout: str, dataset: str) -> Callable[[Path, Changed], None]:
    def read(folder: Path, _: Changed) -> None:
        from ezav.features.importers import import_features

        out = folder.parent / "imported"
        shutil.rmtree(out, ignore_errors=True)
        warnings.simplefilter("ignore")
        import_features(layout, folder, out, dataset=dataset, setting="cls")  # type: ignore[arg-type]

    return read


def _read_names(path: Path) -> None:
    from ezav.cli.common import read_names
    from ezav.recognizer.names import asked

    asked(read_names(path))


def _correct(path: Path) -> None:
    from ezav.answers import correct, corrections

    corrections(path)
    correct(path, {"a.mp4": "dog"})


def _read_journal(folder: Path, _: Changed) -> None:
    from ezav.answers.journal import Journal

    Journal(folder / "a.journal", "one list").close()


def _recordings(path: Path) -> None:
    from ezav.answers.journal import Journal
    from ezav.library.index import Recording

    with Journal(path, "any", what="recordings", drop=False) as journal:
        [Recording.of(one) for one in journal.entries.values()]


def _search_vectors(path: Path) -> None:
    import torch

    from ezav.library.vectors import _read as read_vectors

    if (found := read_vectors(path)) is not None:
        found.nearest(torch.zeros(found.values.shape[1]), 3)


def _read_taught(folder: Path, _: Changed) -> None:
    from ezav.recognizer import Recognizer

    with Recognizer.load(folder) as found:
        assert found.taught is not None


def _read_frozen(folder: Path, _: Changed) -> None:
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


def _read_signed(folder: Path, _: Changed) -> None:
    from ezav.signing import require_signature

    require_signature(folder / "run", folder / "key.pem")


def _read_study(folder: Path, _: Changed) -> None:
    from ezav.benchmarks.study import finished, kept, open_study, take_up

    with kept(folder):
        study = open_study(folder)
        take_up(study, {}, [])
        finished(study)


def _read_encoder(folder: Path, _: Changed) -> None:
    from ezav.encoders.registry import load_text

    load_text("clip", source=folder)


def _read_message(folder: Path, _: Changed) -> None:
    """What a worker answers that a file has taken over."""
    from ezav.extraction.encoded import EncodedClip
    from ezav.extraction.pool import _NONSENSE
    from ezav.extraction.wire import unpack

    with suppress(_NONSENSE):
        EncodedClip.of(*unpack((folder / "clip.message").read_bytes()), folder).checked()


_RUN = ("*.json", "*.safetensors", "config.yaml", "metrics.jsonl")
_H5 = ("features/**/*.h5", "features/**/*.npy", "class-split/**/*")
_STORE = ("index.parquet", "classes/*", "shards/*")
_SIGNED = ("run/signature.json", "run/manifest.json", "key.pem")
_NAMES = _alone(
    ("names.*", _read_names),
    ("lists.*", _late("ezav.answers.lists", "read_lists")),
    ("labels.*", _late("ezav.encoders.overlap", "read_labels")),
    ("config.json", _late("ezav.encoders.overlap", "read_labels")),
)
_PICKLES = _alone(
    ("*.npy", _late("ezav.data_pickle", "load_data_npy")),
    ("*.pkl", _late("ezav.data_pickle", "load_data_pickle")),
)
_RECIPES = _alone(
    ("recipe.yaml", _late("ezav.recipes", "load_recipe")),
    ("space.yaml", _late("ezav.benchmarks.space", "read_space")),
)
_DESCRIBED = _alone(("*", _late("ezav.encoders.descriptions", "read_descriptions")))
_INDEX = _alone(
    ("*.journal", _recordings),
    ("appearance.safetensors", _search_vectors),
    ("windows/*", _late("ezav.library.windows", "read_windows")),
    ("windows/*", _late("ezav.library.windows", "read_pictures", 0)),
)
_MANIFEST = _alone(
    ("*", _list_videos),
    ("*", _media_files),
    ("*", _late("ezav.features.sources", "read_sources", ("tape",))),
)
TARGETS = [
    Target("store", ("header.json", *_STORE), _read_store, 6),
    Target("store, digests anew", _STORE, _read_store, 7, unchecked=True),
    Target("store, resumed", ("header.json", "shards/*", "*.json"), _resume_store, 60),
    Target("run", _RUN, _read_run, 6),
    Target("run, digests anew", ("*.json", "*.safetensors"), _read_run, 6, unchecked=True),
    Target("run, reported", _RUN, _read_reported, 7, unchecked=True),
    Target("best", ("*.json", "*.safetensors"), _read_run, 6, unchecked=True),
    Target("recipe", ("recipe.yaml", "space.yaml"), _RECIPES, 20),
    Target("recipe, used", ("recipe.yaml",), _use_recipe, 6),
    Target("manifest", ("clips.csv",), _MANIFEST, 100),
    Target("pickle", ("*",), _PICKLES, 120),
    Target("HDF5", _H5, _import("avca", "ucf"), 6),
    Target("published pickles", ("features/**/*.pkl",), _import("clipclap", "ucf"), 8),
    Target("descriptions", ("*",), _DESCRIBED, 100),
    Target("names", ("*.*", "model/*"), _NAMES, 100),
    Target("answers", ("a.*",), _alone(("*", _correct)), 25),
    Target("journal", ("a.journal",), _read_journal, 80),
    Target("index of find", ("**/*.journal", "**/*.safetensors"), _INDEX, 80),
    Target("taught", ("taught-*", "manifest.json"), _read_taught, 6, unchecked=True),
    Target("frozen", ("*.json",), _read_frozen, 50, unchecked=True),
    Target("checkpoint", ("a.checkpoint",), _alone(("*", _a_checkpoint)), 100),
    Target("class embeddings", ("*",), _alone(("*", _class_embeddings)), 100),
    Target("signature", _SIGNED, _read_signed, 60),
    Target("search", ("tune.sqlite3",), _read_study, 1),
    Target("encoder", ("*",), _read_encoder, 2),
    Target("weights", ("*",), _alone(("*", _late("ezav.encoders.weights", "read_weights"))), 50),
    Target("answer of a worker", ("clip.message",), _read_message, 80),
]


def digests_off() -> None:
    """In this process, from now on: digests are not compared."""
    import ezav.features.index
    import ezav.manifest

    ezav.features.index._digests = lambda *_: {}
    ezav.manifest.read_manifest = lambda *_: None
