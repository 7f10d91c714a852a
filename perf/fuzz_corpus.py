"""Valid files of every kind that ezav reads, for `fuzz.py` to change: small, a folder a kind."""

from __future__ import annotations

import json
import pickle
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tests.encoders import checkpoints
from tests.features.importers.published_files import write_fixture
from tests.features.importers.small_benchmark import write_class_split
from tests.features.small_store import HEADER, embeddings, make_clip, splits_of, write_store
from tests.recognizer import small_run

from ezav.answers.journal import Entry, Journal
from ezav.cli.main import main
from ezav.features import StoreWriter
from ezav.features.feature_set import FeatureSet, Ragged
from ezav.library.vectors import Vectors
from ezav.recognizer import Recognizer
from ezav.signing import new_key, sign
from ezav.training.checkpoint import save_tree


def write_corpus(world: Path, out: Path) -> None:
    """One folder for each target of `fuzz.py`, made of a world of `small_world.py`."""
    out.mkdir(parents=True)
    write_store(out / "store", 12, shard_clips=8)
    half = out / "store"
    with StoreWriter(half, HEADER) as writer:  # a journal, and sizes of files
        writer.add(**make_clip(40))
    (half / "given.json").write_text(HEADER.model_dump_json())
    _runs(world, out)
    _texts(out)
    _models(out)
    _pickles(out / "pickle")
    for layout, name in (("avca", "HDF5"), ("clipclap", "published-pickles")):
        lists = write_class_split(out / f"lists-{layout}")
        write_fixture(out / name, layout, dataset="ucf", setting="cls", class_split=lists, clips=1)  # type: ignore[arg-type]
        shutil.rmtree(lists)
    _answers(out / "answers")
    _index(out / "index-of-find")
    _frozen(out / "frozen", world)
    (out / "checkpoint").mkdir()
    tree = {"key": "key", "state": {"a": [torch.ones(2), None], 3: {"b": 0.5}}}
    save_tree(out / "checkpoint" / "a.checkpoint", tree)
    (out / "class-embeddings").mkdir()
    for ending in (".safetensors", ".npz"):
        try:
            embeddings().save(out / "class-embeddings" / f"a{ending}")
        except Exception:  # an ending that is not written
            continue


def _runs(world: Path, out: Path) -> None:
    store = small_run.feature_store(out / "features", clips_per_class=9)
    small_run.train(store, out / "run", width=8, hidden=8, mlp=8)
    shutil.copytree(out / "run", out / "signature" / "run")
    key = new_key(out / "key")
    sign(out / "signature" / "run", out / "key")
    shutil.copy(key, out / "signature" / "key.pem")
    assert main(["run", "best", str(store.path), "--out", str(out / "best"), "--import"]) == 0
    with Recognizer.load(out / "best") as recognizer:
        draw = torch.Generator().manual_seed(0)
        clips = FeatureSet(
            audio=Ragged.pooled(torch.randn(2, small_run.AUDIO, generator=draw)),
            visual=Ragged.pooled(torch.randn(2, small_run.VISUAL, generator=draw)),
            labels=torch.zeros(2, dtype=torch.long),
            clips=("a", "b"),
            classes=("zorbing",),
        )
        recognizer.teach({"zorbing": clips})
        recognizer.save_pretrained(out / "taught")
    (out / "recipe").mkdir()
    shutil.move(out / "features", out / "recipe" / "store")


def _texts(out: Path) -> None:
    recipe = files("ezav.recipes") / "ez_avgzl.yaml"
    (out / "recipe" / "recipe.yaml").write_text(recipe.read_text())
    space = "config.width: {choices: [16, 32]}\n"
    space += "training.learning_rate: {low: 0.0001, high: 0.1, log: true}\n"
    (out / "recipe" / "space.yaml").write_text(space)
    (out / "manifest").mkdir()
    rows = ["path,class,split,tape"]
    for name in ("dog", "cat", "sea waves"):
        (out / "manifest" / name).mkdir()
        for take in range(3):
            (out / "manifest" / name / f"{take}.mp4").touch()
            rows.append(f"{name}/{take}.mp4,{name},train,tape {take}")
    (out / "manifest" / "clips.csv").write_text("\n".join(rows) + "\n")
    (out / "descriptions").mkdir()
    described = {"a dog": ["a dog that barks", "a hound"], "rain": ["rain on a roof"]}
    lines = ["name,description,more", *(f"{k},{','.join(v)}" for k, v in described.items())]
    (out / "descriptions" / "a.csv").write_text("\n".join(lines))
    (out / "descriptions" / "a.tsv").write_text("\n".join(lines).replace(",", "\t"))
    (out / "descriptions" / "a.yaml").write_text(json.dumps(described))
    (out / "descriptions" / "b.yml").write_text("a dog: &x [a hound, b]\nrain: *x\ncat: >\n  it\n")

    (out / "names").mkdir()
    names = {"pets": ["a dog", "a cat"], "weather": {"rain": ["it pours", "a shower"], "fog": None}}
    for ending in ("json", "yaml"):
        (out / "names" / f"lists.{ending}").write_text(json.dumps(names, indent=1))
    (out / "names" / "names.txt").write_text("\ufeffa dog\n\ncat: a cat, purring\nsea  waves\n")
    (out / "names" / "labels.txt").write_text("Bark\nRain\n")
    (out / "names" / "labels.csv").write_text("index,mid,display_name\n0,/m/1,Bark\n1,/m/2,Rain\n")
    (out / "names" / "labels.json").write_text('["Bark", "Rain"]')
    (out / "names" / "model").mkdir()
    labelled = {"id2label": {"0": "Bark", "1": "Rain"}, "label2id": {"Bark": 0, "Rain": 1}}
    (out / "names" / "model" / "config.json").write_text(json.dumps(labelled))


def _models(out: Path) -> None:
    """A small model folder, weights alone, a search and what a worker answers."""
    from ezav.benchmarks.study import open_study
    from ezav.encoders.base import Encoded
    from ezav.extraction.encoded import EncodedClip
    from ezav.extraction.wire import pack

    checkpoints.clip(out / "encoder")
    (out / "weights").mkdir()
    state = {"module.a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16)}
    torch.save({"state_dict": state}, out / "weights" / "a.pt")
    torch.save(state, out / "weights" / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, out / "weights" / "a.safetensors")
    (out / "search").mkdir()
    study = open_study(out / "search")
    for number in range(3):
        trial = study.ask()
        trial.suggest_float("training.learning_rate", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("config.width", [16, 32])
        trial.set_user_attr("hms", [0.5])
        study.tell(trial, 0.5 + number / 10)
    one = Encoded(np.ones((2, 3), np.float32), np.arange(2, dtype=np.float32))
    tokens = {"visual": one, "audio": Encoded(one.values[:1], one.times[:1])}
    clip = EncodedClip(tokens=tokens, duration=2.0, frames=2, warnings=("late",), claimed=2.0)
    (out / "answer-of-a-worker").mkdir()
    (out / "answer-of-a-worker" / "clip.message").write_bytes(pack(*clip.message()))


def _pickles(out: Path) -> None:
    out.mkdir()
    value = {
        "features": [np.ones((2, 3), np.float32), np.zeros((1, 3), np.float16)],
        "video_names": ["a", "ü"],
        "fps": np.array([25.0, 30.0]),
        "more": ({1, 2}, frozenset("ab"), b"x", 1 << 70, None, True, np.float64(2)),
    }
    for protocol in range(6):
        (out / f"p{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    np.save(out / "plain.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    np.save(out / "objects.npy", np.array([{"a": np.ones(3)}, "x"], object), allow_pickle=True)
    np.save(out / "fortran.npy", np.asfortranarray(np.ones((2, 3, 4), ">f8")))


def _answers(out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out.mkdir()
    names = ("file", "among", "answer", "probability", "margin", "none_of_these", "correct")
    rows = [
        ("a.mp4", "run", "dog", 0.5, 0.1, False, "cat"),
        ("b.mp4", "run", "cat", None, 0.0, True, ""),
    ]
    told = [dict(zip(names, row)) for row in rows]
    (out / "a.json").write_text(json.dumps(told))
    text = "\n".join(",".join("" if v is None else str(v) for v in row) for row in (names, *rows))
    (out / "a.csv").write_text(text + "\n")
    pq.write_table(pa.Table.from_pylist(told), out / "a.parquet")
    row = {"among": "run", "answer": "dog", "error": "", "probability": 0.5}
    (out.parent / "journal").mkdir()
    with Journal(out.parent / "journal" / "a.journal", "one list") as journal:
        journal.append([Entry(file=f"{n}.mp4", stamp=(1, 2), rows=(row,)) for n in range(4)])
        journal.note_written("a.csv", "00")


def _index(out: Path) -> None:
    (out / "windows").mkdir(parents=True)
    row = {"number": 1, "parts": 1, "windows": 2, "error": ""}
    with Journal(out / "recordings.journal", "any", what="recordings", drop=False) as journal:
        journal.append([Entry(file="a.mp4", stamp=(1, 2), rows=(row,))])
        journal.append([Entry(file="b.mp4", stamp=(1, 2), rows=({**row, "number": 2},))])
    pictures = [b'["/9j/4AAQ"]', b"[]"]
    tensors = {
        "times": torch.tensor([[0.0, 2.0], [1.0, 3.0]], dtype=torch.float64),
        "pictures": torch.frombuffer(bytearray(b"".join(pictures)), dtype=torch.uint8),
        "pictures.offsets": torch.tensor([0, len(pictures[0]), len(pictures[0]) + 2]),
    }
    for side in ("audio", "visual"):
        tensors[f"{side}.values"] = torch.ones(3, 4).half()
        tensors[f"{side}.offsets"] = torch.tensor([0, 1, 3])
        tensors[f"{side}.times"] = torch.zeros(3)
    save_file(tensors, out / "windows" / "1-0.safetensors")
    some = Vectors(torch.arange(3), torch.zeros(3, 2).double(), torch.eye(3).half())
    kept = {"keys": some.keys, "times": some.times, "values": some.values}
    save_file(kept, out / "appearance.safetensors")


def _frozen(out: Path, world: Path) -> None:
    """What `save_frozen` writes, of the encoders of the world's run."""
    from ezav.recognizer.frozen_folder import _Told

    out.mkdir()
    text = small_run.text_embeddings()
    told = _Told(
        text=text.encoder,
        text_settings=dict(text.settings),
        dimension=text.dim,
        names={"a dog": ("a dog that barks",), "rain": ()},
    )
    (out / "frozen.json").write_text(told.model_dump_json(indent=2))
    header = (world / "run" / "store.json").read_text()
    for mine, built_in in (("Colour", "efficientnet"), ("Bands", "aisfx")):
        header = header.replace(f"tests.recognizer.tiny_encoders:{mine}", built_in)
    (out / "store.json").write_text(header)
    shutil.copy(world / "run" / "calibration.json", out / "calibration.json")


__all__ = ["splits_of", "write_corpus"]
