"""Class embeddings: names and vectors, their optimization, diagnostics, and new names."""

from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.losses import proximity_loss, ranking_loss, separation_loss
from ezav.classes.optimize import optimize_class_embeddings
from ezav.classes.recipe import ClassEmbeddingRecipe

__all__ = [
    "ClassEmbeddingRecipe",
    "ClassEmbeddings",
    "optimize_class_embeddings",
    "proximity_loss",
    "ranking_loss",
    "separation_loss",
]
