"""The words of a store's clips: what the classifier behind its tokens says, in a text's space.

Nothing of it is stored: a classifier's last layer reads the tokens that a store has, so the words
of an old store, or in the space of another text encoder, cost a product of matrices.
"""

from __future__ import annotations

from typing import Literal

import torch

from ezav.encoders import registry
from ezav.encoders.base import TextEncoder
from ezav.encoders.identity import other
from ezav.encoders.labelled import knows_labels
from ezav.encoders.spec import EncoderSpec
from ezav.encoders.words import WordReader
from ezav.errors import UnavailableError
from ezav.features.feature_set import Ragged
from ezav.features.header import Header


def word_reader(
    header: Header,
    text: TextEncoder,
    modality: Literal["audio", "visual"] = "visual",
    *,
    import_code: bool = False,
) -> WordReader | None:
    """What reads the words of a store's tokens; None where their encoder knows no labels.

    Args:
        header: of the store.
        text: the text encoder whose space the words are to lie in.
        modality: whose tokens.
        import_code: whether an encoder of one's own that the header names is imported.

    Raises:
        EzavError: the encoder cannot be loaded, or is another than the store's.
        RefusedError: it is one of one's own, and `import_code` is False.

    Example:
        >>> print(word_reader(store.header, text=None))  # its encoders know no labels
        None
    """
    info = next((one for one in header.encoders if one.modality == modality), None)
    if info is None or header.simulated:
        return None
    own = ":" in info.name
    if not own and (
        info.name not in registry.names(modality)
        or registry.card(modality, info.name).label_set is None
    ):
        return None  # features of published files, or an encoder without a classifier
    spec = EncoderSpec.parse(",".join(filter(None, (info.name, info.options))))
    encoder = (
        registry.load("visual", spec.name, spec.options, import_code=import_code)
        if modality == "visual"
        else registry.load("audio", spec.name, spec.options, import_code=import_code)
    )
    if not knows_labels(encoder):
        return None
    name = f"the store's {modality} encoder '{info.name}'"
    here = encoder.card
    if why := other(name, (info.revision, info.identity), (here.revision, here.identity)):
        raise UnavailableError(f"{name} is not the one here: {why}", "extract the store again")
    return WordReader(encoder, text)


def words_of(features: Ragged, reader: WordReader) -> Ragged:
    """The words of every token: float32 values in the text's space, the same offsets and times.

    A clip's words are the mean of its tokens' words (`.means`).

    Raises:
        EzavError: the tokens are not of the reader's encoder.
    """
    values = reader(features.values.cpu().numpy())
    return Ragged(torch.from_numpy(values), features.offsets.cpu(), features.times.cpu())
