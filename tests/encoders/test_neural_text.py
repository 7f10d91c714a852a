"""Text towers, sentence and language models, word vectors: on tiny checkpoints and files."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ezav.encoders.base import TextEncoder
from ezav.encoders.registry import load_text
from ezav.errors import EzavError
from tests.encoders import checkpoints

NAMES = ["dog barking", "playing guitar", "a red square by the ice", "dog"]


def sentence(folder: Path, pooling: str = "mean_tokens", dense: bool = True) -> Path:
    """A sentence-transformers folder: BERT, pooling, a dense layer, unit length."""
    from safetensors.torch import save_file

    checkpoints.bert(folder)
    parts = [("Transformer", ""), ("Pooling", "1_Pooling")]
    if dense:
        parts.append(("Dense", "2_Dense"))
    parts.append(("Normalize", "3_Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{m}": m == pooling for m in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling/config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, **modes})
    )
    (folder / "3_Normalize").mkdir()
    if dense:
        (folder / "2_Dense").mkdir()
        config = {
            "in_features": 16,
            "out_features": 10,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }
        (folder / "2_Dense/config.json").write_text(json.dumps(config))
        generator = torch.Generator().manual_seed(1)
        weights = {
            "linear.weight": torch.randn(10, 16, generator=generator),
            "linear.bias": torch.randn(10, generator=generator),
        }
        save_file(weights, folder / "2_Dense/model.safetensors")
    return folder


FAMILIES: dict[str, tuple[Callable[[Path], Path], int, dict[str, Any]]] = {
    "clip": (checkpoints.clip, 12, {}),
    "siglip2": (checkpoints.siglip, 16, {}),
    "xclip": (checkpoints.xclip, 12, {}),
    "clap": (checkpoints.clap, 12, {}),
    "pe-av": (checkpoints.pe_av, 16, {"target": "video"}),
    "sentence": (sentence, 10, {}),
    "llm": (checkpoints.llama, 16, {}),
}


@pytest.fixture(autouse=True)
def _picture_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.vit_for_timm(monkeypatch)


@pytest.mark.parametrize("name", FAMILIES)
def test_text_family(name: str, tmp_path: Path) -> None:
    make, dimension, options = FAMILIES[name]
    folder = make(tmp_path / "model")
    encoder = load_text(name, source=folder, **options)
    assert isinstance(encoder, TextEncoder)
    vectors = encoder.encode(NAMES)
    assert vectors.shape == (4, dimension)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    assert encoder.card.dimension == dimension
    # A name alone as among others, bit by bit.
    for i, one in enumerate(NAMES):
        assert torch.equal(encoder.encode([one])[0], vectors[i])
    again = load_text(name, source=folder, **options).encode(NAMES)
    assert torch.equal(again, vectors)
    small = load_text(name, source=folder, batch_size=1, **options).encode(NAMES)
    torch.testing.assert_close(small, vectors, atol=2e-5, rtol=0)
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3
    # Prompts are used.
    prompted = load_text(name, source=folder, prompts="the sound of {}", **options)
    assert prompted.card.templates == ("the sound of {}",)
    assert (prompted.encode(NAMES) - vectors).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens"])
@pytest.mark.parametrize("dense", [True, False])
def test_sentence_equals_sentence_transformers(pooling: str, dense: bool, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = sentence(tmp_path / "model", pooling, dense)
    expected = SentenceTransformer(str(folder), local_files_only=True, device="cpu").encode(NAMES)
    found = load_text("sentence", source=folder).encode(NAMES)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


def test_clip_text_equals_the_library(tmp_path: Path) -> None:
    import transformers

    folder = checkpoints.clip(tmp_path)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(["a photo of dog barking"], return_tensors="pt")
    with torch.inference_mode():
        expected = model.get_text_features(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).pooler_output
    found = load_text("clip", source=folder).encode(["dog barking"])
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected), atol=1e-5, rtol=0)


def test_pe_av_has_a_text_head_for_each_target(tmp_path: Path) -> None:
    folder = checkpoints.pe_av(tmp_path)
    found = [
        load_text("pe-av", source=folder, target=target).encode(["dog"])
        for target in ("audio_video", "audio", "video")
    ]
    assert (found[0] - found[1]).abs().max() > 1e-3
    assert (found[1] - found[2]).abs().max() > 1e-3
    with pytest.raises(EzavError, match="no text head 'smell'"):
        load_text("pe-av", source=folder, target="smell")


def test_a_dense_layer_must_fit(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = sentence(tmp_path / "model")
    weights = load_file(folder / "2_Dense/model.safetensors")
    save_file({"linear.weight": weights["linear.weight"]}, folder / "2_Dense/model.safetensors")
    with pytest.raises(EzavError, match=r"missing weights linear\.bias"):
        load_text("sentence", source=folder)


def test_an_unknown_module_is_refused(tmp_path: Path) -> None:
    folder = sentence(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.LSTM"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EzavError, match="module 'LSTM'"):
        load_text("sentence", source=folder)


# ---- word vectors


@pytest.fixture
def words(tmp_path: Path) -> Path:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(vector_size=5)
    known = ["dog", "barking", "Guitar", "playing", "ice_cream", "ice", "cream"]
    draw = np.random.default_rng(0).normal(size=(len(known), 5)).astype(np.float32)
    vectors.add_vectors(known, draw)
    path = tmp_path / "words.bin"
    vectors.save_word2vec_format(str(path), binary=True)
    vectors.save_word2vec_format(str(tmp_path / "words.txt"), binary=False)
    vectors.save(str(tmp_path / "words.kv"))
    return path


def test_word2vec_is_the_mean_of_known_words(words: Path) -> None:
    from gensim.models import KeyedVectors

    table = KeyedVectors.load_word2vec_format(str(words), binary=True)
    encoder = load_text("word2vec", source=words)
    found = encoder.encode(["dog barking", "Playing the-guitar", "ice cream", "Cream_ice"])
    expected = [
        table["dog"] + table["barking"],
        table["playing"] + table["Guitar"],
        table["ice_cream"],
        table["cream"] + table["ice"],
    ]
    for row, vector in zip(found.numpy(), expected):
        np.testing.assert_allclose(row, vector / np.linalg.norm(vector), atol=1e-6)
    assert encoder.card.dimension == 5
    text = load_text("word2vec", source=words.with_suffix(".txt")).encode(["dog barking"])
    torch.testing.assert_close(text[0], found[0])


@pytest.mark.filterwarnings("error")
def test_word2vec_says_which_words_it_does_not_know(words: Path) -> None:
    encoder = load_text("word2vec", source=words)
    with pytest.warns(UserWarning, match="'dog zebra': no word vector for zebra"):
        encoder.encode(["dog zebra"])
    with pytest.raises(EzavError, match="none of the words of 'zebra'"):
        encoder.encode(["zebra"])


def test_word2vec_refuses_pickles_and_other_files(words: Path, tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="is a pickle"):
        load_text("word2vec", source=words.with_suffix(".kv"))
    other = tmp_path / "other.txt"
    other.write_text("this is prose\nand no table\n")
    with pytest.raises(EzavError, match="not in word2vec's format"):
        load_text("word2vec", source=other)
    with pytest.raises(EzavError, match="no file"):
        load_text("word2vec", source=tmp_path / "absent.bin")
    with pytest.raises(EzavError, match="needs a file"):
        load_text("word2vec")


def test_weights_that_hold_code_are_not_run(tmp_path: Path) -> None:
    """An old-style weight file with a payload is refused by torch's own restricted reader."""
    folder = checkpoints.bert(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(EzavError, match="cannot load"):
        load_text("llm", source=folder)
    assert not marker.exists()
