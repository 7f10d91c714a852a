"""The network of all-MiniLM-L6-v2, a BERT of six layers, and its word pieces.

Parameters have the names of the published file. Written out here because importing a library of a
thousand models takes longer than everything else that a first answer needs. Imports torch: only a
loaded encoder imports this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from ezav.errors import DamagedError

LAYERS, WIDTH, HEADS, INNER = 6, 384, 12, 1536
_WORDS, _POSITIONS, _KINDS = 30522, 512, 2
_EPSILON = 1e-12


def _norm() -> nn.LayerNorm:
    return nn.LayerNorm(WIDTH, eps=_EPSILON)


def _table(rows: int) -> nn.Embedding:
    return nn.Embedding(rows, WIDTH, _weight=torch.zeros(rows, WIDTH))  # to draw them takes long


class _Embeddings(nn.Module):
    """What a piece is, where it stands, and that it is of the first sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = _table(_WORDS)
        self.position_embeddings = _table(_POSITIONS)
        self.token_type_embeddings = _table(_KINDS)
        self.LayerNorm = _norm()

    def forward(self, pieces: Tensor) -> Tensor:
        first = self.token_type_embeddings(torch.zeros_like(pieces))
        places = torch.arange(pieces.shape[1], device=pieces.device)
        found = self.word_embeddings(pieces) + first + self.position_embeddings(places)
        normed: Tensor = self.LayerNorm(found)
        return normed


class _Joined(nn.Module):
    """A linear layer, added to what came before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, WIDTH)
        self.LayerNorm = _norm()

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        found: Tensor = self.LayerNorm(self.dense(x) + before)
        return found


class _SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        heads = (layer(x).unflatten(2, (HEADS, -1)) for layer in (self.query, self.key, self.value))
        query, key, value = (one.transpose(1, 2) for one in heads)
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return found.transpose(1, 2).flatten(2)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self = _SelfAttention()
        self.output = _Joined(WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.output(self.self(x, mask), x)
        return found


class _Intermediate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, INNER)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.dense(x))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.intermediate = _Intermediate()
        self.output = _Joined(INNER)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention(x, mask)
        found: Tensor = self.output(self.intermediate(x), x)
        return found


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer() for _ in range(LAYERS))


class MiniLM(nn.Module):
    """Pieces `[B, L]` to hidden states `[B, L, 384]`.

    Example:
        >>> pieces = torch.tensor([[101, 3899, 102]])
        >>> MiniLM().eval()(pieces, torch.ones_like(pieces)).shape
        torch.Size([1, 3, 384])
    """

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = _Encoder()

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Hidden states; `mask` `[B, L]` is 0 where there is no piece."""
        x = self.embeddings(pieces)
        seen = mask.bool()[:, None, None, :]
        for layer in self.encoder.layer:
            x = layer(x, seen)
        found: Tensor = x
        return found


class WordPieces:
    """The tokenizer's file, read without transformers; called as its tokenizers are.

    Args:
        folder: holds `tokenizer.json`.

    Raises:
        DamagedError: that file is missing or no tokenizer.
    """

    unk_token_id = 100
    model_max_length = _POSITIONS
    _begin, _end = 101, 102

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._read = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # it raises nothing more precise
            raise DamagedError(f"cannot read '{folder / 'tokenizer.json'}'") from error
        self._read.no_truncation()
        self._read.no_padding()

    def __call__(self, lines: str | Sequence[str], **_: object) -> dict[str, Any]:
        """`input_ids`: all pieces of a line, or of each, without marks of beginning and end."""
        read = self.read([lines] if isinstance(lines, str) else lines)
        return {"input_ids": read[0] if isinstance(lines, str) else read}

    def read(self, lines: Sequence[str]) -> list[list[int]]:
        """The pieces of each line."""
        return [one.ids for one in self._read.encode_batch(list(lines), add_special_tokens=False)]

    def num_special_tokens_to_add(self) -> int:
        """The marks of beginning and end."""
        return 2

    def batch(self, lines: Sequence[str], longest: int) -> tuple[Tensor, Tensor]:
        """Pieces and mask `[B, L]` of at most `longest`, the marks among them, padded right."""
        kept = [one[: longest - 2] for one in self.read(lines)]
        marked = [torch.tensor([self._begin, *one, self._end]) for one in kept]
        pieces = nn.utils.rnn.pad_sequence(marked, batch_first=True)
        lengths = torch.tensor([len(one) for one in marked])
        return pieces, (torch.arange(pieces.shape[1]) < lengths[:, None]).long()
