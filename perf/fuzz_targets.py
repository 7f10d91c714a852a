"""Kinds of files, which of them are changed, and what reads them: a row of `TARGETS` for each.

A share says how many of a million inputs a kind gets: the cheaper one input is, the more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz_readers import (
    a_checkpoint,
    alone,
    class_embeddings,
    correct_table,
    importing,
    late,
    list_videos,
    media_files,
    read_encoder,
    read_frozen,
    read_journal,
    read_message,
    read_names,
    read_recipe,
    read_reported,
    read_run,
    read_signed,
    read_store,
    read_study,
    read_taught,
    recordings,
    resume_store,
    search_vectors,
    use_recipe,
)


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


_RUN = ("*.json", "*.safetensors", "config.yaml", "metrics.jsonl")
_H5 = ("features/**/*.h5", "features/**/*.npy", "class-split/**/*")
_STORE = ("index.parquet", "classes/*", "shards/*")
_SIGNED = ("run/signature.json", "run/manifest.json", "key.pem")
_NAMES = alone(
    ("names.*", read_names),
    ("lists.*", late("ezav.answers.lists", "read_lists")),
    ("labels.*", late("ezav.encoders.overlap", "read_labels")),
    ("config.json", late("ezav.encoders.overlap", "read_labels")),
)
_PICKLES = alone(
    ("*.npy", late("ezav.data_pickle", "load_data_npy")),
    ("*.pkl", late("ezav.data_pickle", "load_data_pickle")),
)
_RECIPES = alone(
    ("recipe.yaml", read_recipe),
    ("space.yaml", late("ezav.benchmarks.space", "read_space")),
)
_DESCRIBED = alone(("*", late("ezav.encoders.descriptions", "read_descriptions")))
_INDEX = alone(
    ("*.journal", recordings),
    ("appearance.safetensors", search_vectors),
    ("windows/*", late("ezav.library.windows", "read_windows")),
    ("windows/*", late("ezav.library.windows", "read_pictures", 0)),
)
_ANSWERS = alone(("*", late("ezav.answers", "corrections")), ("*.csv", correct_table))
_MANIFEST = alone(
    ("*", list_videos),
    ("*", media_files),
    ("*", late("ezav.features.sources", "read_sources", ("tape",))),
)
TARGETS = [
    Target("store", ("header.json", *_STORE), read_store, 6),
    Target("store, digests anew", _STORE, read_store, 7, unchecked=True),
    Target("store, resumed", ("header.json", "shards/*", "*.json"), resume_store, 60),
    Target("run", _RUN, read_run, 6),
    Target("run, digests anew", ("*.json", "*.safetensors"), read_run, 6, unchecked=True),
    Target("run, reported", _RUN, read_reported, 7, unchecked=True),
    Target("best", ("*.json", "*.safetensors"), read_run, 6, unchecked=True),
    Target("recipe", ("recipe.yaml", "space.yaml"), _RECIPES, 10),
    Target("recipe, used", ("recipe.yaml",), use_recipe, 6),
    Target("manifest", ("clips.csv",), _MANIFEST, 100),
    Target("pickle", ("*",), _PICKLES, 120),
    Target("HDF5", _H5, importing("avca", "ucf"), 6),
    Target("published pickles", ("features/**/*.pkl",), importing("clipclap", "ucf"), 8),
    Target("descriptions", ("*",), _DESCRIBED, 100),
    Target("names", ("*.*", "model/*"), _NAMES, 100),
    Target("answers", ("a.*",), _ANSWERS, 25),
    Target("journal", ("a.journal",), read_journal, 80),
    Target("index of find", ("**/*.journal", "**/*.safetensors"), _INDEX, 80),
    Target("taught", ("taught-*", "manifest.json"), read_taught, 6, unchecked=True),
    Target("frozen", ("*.json",), read_frozen, 50, unchecked=True),
    Target("checkpoint", ("a.checkpoint",), alone(("*", a_checkpoint)), 100),
    Target("class embeddings", ("*",), alone(("*", class_embeddings)), 100),
    Target("signature", _SIGNED, read_signed, 60),
    Target("search", ("tune.sqlite3",), read_study, 1),
    Target("encoder", ("*",), read_encoder, 2),
    Target("weights", ("*",), alone(("*", late("ezav.encoders.weights", "read_weights"))), 50),
    Target("answer of a worker", ("clip.message",), read_message, 80),
]
