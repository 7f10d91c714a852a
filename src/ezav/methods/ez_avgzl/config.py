"""The settings of EZ-AVGZL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ezav.classes.recipe import ClassEmbeddingRecipe
from ezav.errors import EzavError


@dataclass(frozen=True, kw_only=True)
class EzAvgzlConfig:
    """Hyper-parameters of EZ-AVGZL."""

    classes: ClassEmbeddingRecipe = field(default_factory=lambda: ClassEmbeddingRecipe(alpha=0.05))
    """How class embeddings are made from the text embeddings (raw, optimised, shuffled). Alpha is
    small: more separation flattens the semantics that unseen classes live on
    (docs/measurements/ablations.md); choose it on validation (`alphas`)."""
    similarity: Literal["attention", "decoder", "cosine"] = "attention"
    """Compare a clip with a class name in this way; the paper's is 'attention'."""
    negatives: Literal["batch", "distinct", "seen"] = "seen"
    """Put these classes into the denominator of the loss: all seen classes of the stage, those of
    the batch with multiplicity (equation 5), or its distinct classes. A batch that draws classes
    evenly makes equation 5 a noisy sample of the first, which is as cheap here."""
    layers: int = 1
    """Use so many transformer layers in the fusion (L in the paper)."""
    width: int = 128
    """Set the width of a token (d in the paper)."""
    hidden: int = 256
    """Set the hidden width of the embedding nets of the two modalities."""
    heads: int = 8
    """Use so many attention heads, in the fusion and in the similarity."""
    head_dim: int = 48
    """Set the dimension of a head; the queries keep the geometry of the class embeddings exactly if
    heads x head_dim is at least their dimension."""
    learned_query: bool = False
    """Learn the query map of the similarity; by default it is a fixed random isometry."""
    mlp: int = 128
    """Set the hidden width of the feed-forward blocks."""
    norm: Literal["batch", "layer"] = "layer"
    """Normalise inside the embedding nets in this way."""
    dropout: float = 0.3
    """Set the dropout in the embedding nets and the fusion, in [0, 1)."""
    temporal: bool = False
    """Use every token in time; False gives one mean token a modality."""
    modalities: Literal["both", "audio", "visual"] = "both"
    """Use only one modality (an ablation)."""
    members: int = 1
    """Train so many networks (1 to 16), which differ in their first weights and dropout, on the
    same batches, and average their scores."""
    prior: Literal["none", "frozen", "closed"] = "none"
    """Start from other scores, added to the network's in the loss and in the scores. `frozen` are
    those of the labels that an encoder of the store knows, or of text in the features' own space;
    `closed` are those of ESZSL, each training clip's by the others, and half the frozen ones where
    there are any."""
    prior_weight: float = 1.0
    """Weigh those other scores by this much in the loss, in logits per standard deviation; their
    weight in the scores is learned on validation or folds, and may be 0. 0 trains the network
    alone."""

    def __post_init__(self) -> None:
        if not 1 <= self.members <= 16:
            raise EzavError(f"{self.members} members", "EZ-AVGZL has 1 to 16")
        if not 0 <= self.prior_weight < float("inf"):
            raise EzavError(f"prior_weight {self.prior_weight} is negative or not finite")
