"""word2vec (Mikolov et al. 2013) and other word vectors, through gensim's KeyedVectors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard
from ezav.encoders.identity import sha256_of
from ezav.encoders.loading import UNPINNED
from ezav.encoders.prompts import ensemble, templates
from ezav.encoders.registry import Entry
from ezav.encoders.weights import file_hash
from ezav.errors import DamagedError, NotFoundError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from torch import Tensor

TEXT = EncoderCard(
    name="word2vec",
    kind="text",
    dimension=300,
    source="https://code.google.com/archive/p/word2vec",
    revision=UNPINNED,
    licence="Apache-2.0",
    trained_on=("Google News (100 billion words, not published)",),
    templates=("{}",),
    notes="the mean of the words' vectors; source= a local file in word2vec's format",
)
_LONGEST_PHRASE = 4  # words


class Word2VecText:
    """The mean of the vectors of a name's words; known phrases (`ice_cream`) go before words.

    Args:
        card: the default card.
        source: a file in word2vec's own format: `.bin` / `.bin.gz` binary, anything else text.
            gensim's native files are pickles and are refused.
        revision: default the hash of the file.
        limit: read only the first so many words, the most frequent ones.
        prompts: templates with `{}`; words of the template count as words of the name.

    Raises:
        EzavError: gensim is missing, or the file is missing or in another format.
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        limit: int | None = None,
        prompts: str | Sequence[str] | None = None,
    ) -> None:
        if source is None:
            raise UnavailableError(
                "the encoder 'word2vec' needs a file of word vectors",
                f"give the path of a file as `source`; see {card.source}",
            )
        path = Path(source).expanduser()
        self._vectors = _read(path, limit)
        self._made = {"vectors": sha256_of(path)}, {"limit": limit}
        self.card = card.but(
            source=path.name,
            revision=revision or file_hash(path),
            dimension=int(self._vectors.vector_size),
            templates=card.templates if prompts is None else templates(prompts),
        )

    def made_of(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """What the identity covers."""
        return self._made

    def encode(self, names: Sequence[str]) -> Tensor:
        """Unit rows float32 `[C, d]`. A word without a vector is left out, with a warning.

        Raises:
            EzavError: an empty list, or a name none of whose words has a vector.
        """
        return ensemble(names, self.card.templates, self._embed)

    def _embed(self, sentences: list[str]) -> Tensor:
        import torch

        return torch.stack([torch.from_numpy(self._mean(text)) for text in sentences])

    def _mean(self, text: str) -> Any:
        keys, unknown = self._keys(text)
        if not keys:
            raise NotFoundError(
                f"none of the words of '{text}' has a vector in {self.card.source}",
                "give the class a name in common words",
            )
        if unknown:
            left = ", ".join(unknown)
            warnings.warn(f"'{text}': no word vector for {left}; left out", stacklevel=4)
        return self._vectors[keys].mean(axis=0)

    def _keys(self, text: str) -> tuple[list[str], list[str]]:
        """Known words and phrases of a text, longest phrase first, and the unknown words."""
        words = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)
        keys, unknown, at = [], [], 0
        while at < len(words):
            for length in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1):
                key = self._known(words[at : at + length])
                if key is not None:
                    keys.append(key)
                    at += length
                    break
            else:
                unknown.append(words[at])
                at += 1
        return keys, unknown

    def _known(self, words: list[str]) -> str | None:
        phrase = "_".join(words)
        forms = (phrase.lower(), phrase, "_".join(word.capitalize() for word in words))
        return next((form for form in forms if form in self._vectors.key_to_index), None)


def _read(path: Path, limit: int | None) -> Any:
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise UnavailableError(
            "word vectors need gensim", "pip install 'ezav[word2vec]'"
        ) from error
    if not path.is_file():
        raise NotFoundError(f"no file '{path}' of word vectors")
    with path.open("rb") as file:
        if file.read(2)[:1] == b"\x80":  # a pickle's first byte
            raise RefusedError(
                f"'{path}' is a pickle, which is not read",
                "save it with KeyedVectors.save_word2vec_format(path, binary=True)",
            )
    binary = path.name.endswith((".bin", ".bin.gz"))
    try:
        return KeyedVectors.load_word2vec_format(str(path), binary=binary, limit=limit)
    except (ValueError, EOFError, OSError, UnicodeDecodeError) as error:
        raise DamagedError(
            f"'{path}' is not in word2vec's format: {error}",
            "binary files end in .bin or .bin.gz, others are read as text",
        ) from error


ENCODERS = (Entry(TEXT, Word2VecText),)
