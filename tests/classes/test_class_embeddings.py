"""Names and vectors: what is accepted, what is refused and how, saving and loading."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ezav.classes import ClassEmbeddings
from ezav.errors import EzavError
from tests.classes.text_files import FILES, load, path_of

THREE = ("dog", "cat", "car")


@pytest.mark.parametrize(
    ("names", "vectors", "words"),
    [
        (THREE, torch.eye(3)[:2], "3 class names but 2 vectors"),
        (("dog", "cat", "dog"), torch.eye(3), "'dog' occurs twice"),
        (("dog", "cat", "Dog"), torch.eye(3), "two names of one class"),
        (("dog", "cat", "dog\u200b"), torch.eye(3), "ZERO WIDTH SPACE"),
        (("dog", " ", "car"), torch.eye(3), "class 2 of 3 has no name"),
        (THREE, torch.tensor([[1.0, 0], [0, 0], [1, 1]]), "vector of class 'cat' is zero"),
        (THREE, torch.tensor([[1.0, 0], [torch.nan, 0], [1, 1]]), "'cat' is not finite"),
        (THREE, torch.tensor([[1.0, 0], [0, torch.inf], [1, 1]]), "'cat' is not finite"),
        (THREE, torch.ones(3), "must be a tensor"),
        ((), torch.ones(0, 4), "no class embeddings"),
        ("dog", torch.ones(3, 2), "must be a list"),
    ],
)
def test_what_cannot_be_class_embeddings(names: tuple, vectors: torch.Tensor, words: str) -> None:
    with pytest.raises(EzavError, match=words):
        ClassEmbeddings(names, vectors)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(-25, 25), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**16), st.booleans()
)
def test_rows_have_unit_length_and_keep_their_direction(
    exponent: float, classes: int, dim: int, seed: int, double: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    given_rows = torch.randn(classes, dim, generator=generator, dtype=torch.float64) + 3
    scaled = given_rows * 10.0**exponent
    vectors = ClassEmbeddings(
        tuple(map(str, range(classes))), scaled if double else scaled.float()
    ).vectors
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors.double().norm(dim=1), torch.ones(classes).double(), atol=2e-6)
    expected = given_rows / given_rows.norm(dim=1, keepdim=True)
    assert torch.allclose(vectors.double(), expected, atol=2e-6)


def test_saving_and_loading_keeps_every_bit(tmp_path: Path) -> None:
    names = ("naïve 猫", 'it\'s "odd"', "line\nbreak")
    saved = ClassEmbeddings(names, torch.randn(3, 7), "minilm@1", {"alpha": 0.5, "deep": {"a": 1}})
    saved.save(tmp_path / "folder" / "classes.safetensors")
    loaded = ClassEmbeddings.load(tmp_path / "folder" / "classes.safetensors")
    assert torch.equal(loaded.vectors, saved.vectors)
    assert (loaded.names, loaded.encoder, loaded.settings) == (
        saved.names,
        saved.encoder,
        saved.settings,
    )


@pytest.mark.parametrize("key", FILES)
def test_published_files(key: str, tmp_path: Path) -> None:
    classes = load(key)
    assert (len(classes), classes.dim) == FILES[key][2:]
    raw = np.load(path_of(key), allow_pickle=True).item()
    assert list(classes.names) == list(raw)
    assert np.allclose(np.stack(list(raw.values())), classes.vectors, atol=1e-3)
    classes.save(tmp_path / "copy.safetensors")
    assert torch.equal(ClassEmbeddings.load(tmp_path / "copy.safetensors").vectors, classes.vectors)


def test_files_that_are_not_class_embeddings(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (print, ("ran",))

    def npy(name: str, content: object) -> Path:
        path = tmp_path / name
        array = np.empty((), object)
        array[()] = content
        np.save(path, array, allow_pickle=True)
        return path

    from safetensors.torch import save_file

    save_file({"vectors": torch.eye(2)}, tmp_path / "other.safetensors")
    (tmp_path / "short.safetensors").write_bytes(b"abc")
    cases = {
        tmp_path / "absent.safetensors": "no class embeddings file",
        tmp_path / "absent.npy": "cannot read",
        tmp_path / "other.safetensors": "not class embeddings",
        tmp_path / "short.safetensors": "cannot be read",
        npy("list.npy", [1, 2]): "holds a list",
        npy("empty.npy", {}): "mapping is empty",
        npy("ragged.npy", {"a": np.ones(3), "b": np.ones(4)}): "'b' has 4 numbers",
        npy("words.npy", {"a": "many"}): "not made of numbers",
        npy("evil.npy", {"a": Evil()}): "refused to load 'builtins.print'",
    }
    for path, words in cases.items():
        with pytest.raises(EzavError, match=words) as caught:
            ClassEmbeddings.load(path)
        assert "\n" not in str(caught.value)
    assert pickle.loads(pickle.dumps(1)) == 1  # the plain reader would have run Evil


def test_selecting_and_joining() -> None:
    classes = ClassEmbeddings(THREE, torch.eye(3), "a")
    assert torch.equal(classes.select(["car", "dog"]).vectors, torch.eye(3)[[2, 0]])
    with pytest.raises(EzavError, match="did you mean 'dog'"):
        classes.select(["dgo"])
    other = ClassEmbeddings(THREE, torch.eye(3), "b").select(["car", "cat", "dog"])
    joined = classes.concatenate(other)
    assert joined.dim == 6
    assert joined.encoder == "a + b"
    assert torch.allclose(joined.vectors[:, :3], joined.vectors[:, 3:])
    with pytest.raises(EzavError, match="'car' is in only one"):
        classes.concatenate(other.select(["dog", "cat"]))


def test_joined_settings_that_are_none_are_settings_of_one() -> None:
    settings = {"joined": [1, {"a": 2}]}
    assert ClassEmbeddings(("a",), torch.ones(1, 2), settings=settings).parts == [settings]


def test_settings_that_are_no_settings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    ClassEmbeddings(("a",), torch.ones(1, 2), settings={"b": 1}).save(path)
    path.write_bytes(path.read_bytes().replace(b'{\\"b\\": 1}', b"3.5".ljust(10)))
    with pytest.raises(EzavError, match="cannot be read as class embeddings"):
        ClassEmbeddings.load(path)
