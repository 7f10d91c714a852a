"""Sentence-transformers models and the hidden states of language models, as text encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ezav.encoders.base import EncoderCard
from ezav.encoders.loading import (
    Source,
    check_weights,
    load_pretrained,
    load_tokenizer,
    model_file,
    read_json,
    read_list,
)
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import NeuralText, tokenized
from ezav.errors import DamagedError, EzavError

if TYPE_CHECKING:
    from torch import Tensor, nn

SENTENCE = EncoderCard(
    name="sentence",
    kind="text",
    dimension=768,
    source="sentence-transformers/all-mpnet-base-v2",
    revision="9a3225965996d404b775526de6dbfe85d3368642",
    licence="Apache-2.0",
    trained_on=("1.17 billion English sentence pairs (Reddit, S2ORC, WikiAnswers and others)",),
    templates=("{}",),
    notes="any sentence-transformers folder of Transformer, Pooling, Dense and Normalize",
)
LLM = EncoderCard(
    name="llm",
    kind="text",
    dimension=2048,
    source="meta-llama/Llama-3.2-1B",
    revision="4e20de362430cd3b72f300e6b0f18e50e7166e08",
    licence="Llama 3.2 Community License (gated)",
    trained_on=("web text (not published)",),
    templates=("{}",),
    notes="any language model: the mean of its last hidden states over the text's tokens",
)
_LONGEST = 128  # tokens; class names are short


class SentenceText(NeuralText):
    """A sentence-transformers model, read from its own `modules.json`.

    The modules Transformer, Pooling (mean, cls or max), Dense and Normalize are understood.

    Raises:
        EzavError: the model has another module, or its weights do not fit.
    """

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        modules = _read_modules(self.source)
        self._pooling = modules.pooling
        self._dense = [layer.to(self._device) for layer in modules.dense]
        self._model = load_pretrained(
            "AutoModel",
            self.source,
            device=self._device,
            ignore=("lm_head.", "cls.", "pooler.", "embeddings.position_ids"),
            unused=("pooler.",),
        )
        self._tokenizer = load_tokenizer(self.source)
        self._longest = modules.longest or _LONGEST
        sizes = [layer.linear.out_features for layer in modules.dense]
        self._learn_dimension(sizes[-1] if sizes else self._model.config.hidden_size)

    def _embed(self, batch: list[str]) -> Tensor:
        tokens = tokenized(self._tokenizer, batch, self._device, max_length=self._longest)
        hidden = self._model(**tokens).last_hidden_state
        vectors = pool(hidden, tokens["attention_mask"], self._pooling)
        for layer in self._dense:
            vectors = layer(vectors)
        return vectors


class LlmText(NeuralText):
    """The mean of a language model's last hidden states over the tokens of the text."""

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = load_pretrained(
            "AutoModel", self.source, device=self._device, ignore=("lm_head.", "score.")
        )
        self._tokenizer = load_tokenizer(self.source)
        if self._tokenizer.pad_token is None:  # generation needs no padding; the mask hides it
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._longest = _LONGEST
        self._learn_dimension(self._model.config.hidden_size)

    def _embed(self, batch: list[str]) -> Tensor:
        tokens = tokenized(self._tokenizer, batch, self._device, max_length=self._longest)
        hidden = self._model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        return pool(hidden, tokens["attention_mask"], "mean")


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """Hidden states `[B, L, d]` with a mask `[B, L]` to vectors `[B, d]`: mean, cls or max.

    Example:
        >>> import torch
        >>> hidden = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> [pool(hidden, mask, how).item() for how in ("mean", "cls", "max")]
        [2.0, 1.0, 3.0]
    """
    if how == "cls":
        return hidden[:, 0]
    if how == "max":
        return hidden.masked_fill(mask[..., None] == 0, float("-inf")).amax(dim=1)
    weight = mask[..., None].to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class _Modules(NamedTuple):
    """What follows the transformer in a sentence-transformers model."""

    pooling: str
    dense: list[Any]
    longest: int | None


def _read_modules(source: Source) -> _Modules:
    """Read `modules.json` and what it names.

    Raises:
        EzavError: a module is not understood, or the weights of a Dense layer do not fit.
    """
    pooling, dense = "", []
    for module in read_list(source, "modules.json"):
        kind, folder = str(module["type"]).rsplit(".", 1)[-1], str(module["path"])
        if kind == "Pooling":
            pooling = _pooling_mode(read_json(source, f"{folder}/config.json"), source)
        elif kind == "Dense":
            dense.append(_dense_layer(source, folder))
        elif kind not in {"Transformer", "Normalize"}:
            raise EzavError(f"'{source}' has a module '{kind}', which is not read here")
    if not pooling:
        raise DamagedError(f"'{source}' has no Pooling module", "see its modules.json")
    longest = read_json(source, "sentence_bert_config.json").get("max_seq_length")
    return _Modules(pooling, dense, longest)


def _pooling_mode(config: dict[str, Any], source: Source) -> str:
    modes = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
    }
    on = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    if config.get("pooling_mode") in modes.values():  # newer files name one mode
        return str(config["pooling_mode"])
    if len(on) != 1 or on[0] not in modes:
        raise EzavError(f"'{source}' pools by {' and '.join(on) or 'nothing'}, which is not read")
    return modes[on[0]]


def _dense_layer(source: Source, folder: str) -> nn.Module:
    """A Dense module: a linear layer and an activation."""
    import torch
    from safetensors.torch import load_file
    from torch import nn

    config = read_json(source, f"{folder}/config.json")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    known = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}
    name = activation.rsplit(".", 1)[-1]
    if name not in known:
        raise EzavError(f"'{source}' has the activation '{activation}', which is not read here")
    layer = nn.Sequential()
    bias = bool(config.get("bias", True))
    layer.add_module(
        "linear", nn.Linear(int(config["in_features"]), int(config["out_features"]), bias=bias)
    )
    layer.add_module("activation_function", known[name]())
    weights = load_file(model_file(source, f"{folder}/model.safetensors"))
    missing = sorted(set(layer.state_dict()) - set(weights))
    unexpected = sorted(set(weights) - set(layer.state_dict()))
    check_weights(source, "Dense", missing, unexpected)
    layer.load_state_dict(weights)
    return layer.eval().requires_grad_(False).to(torch.float32)


ENCODERS = (Entry(SENTENCE, SentenceText), Entry(LLM, LlmText))
