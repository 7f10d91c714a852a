"""Class embeddings: names and vectors, their optimization (CEO), diagnostics, and new names."""

from ezav.classes.diagnostics import Diagnostics, diagnose
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.losses import proximity_loss, ranking_loss, separation_loss
from ezav.classes.optimize import (
    NotConverged,
    OptimizedClassEmbeddings,
    optimize_class_embeddings,
)
from ezav.classes.ranking import TripletOrder
from ezav.classes.recipe import ClassEmbeddingRecipe

__all__ = [
    "ClassEmbeddingRecipe",
    "ClassEmbeddings",
    "Diagnostics",
    "NotConverged",
    "OptimizedClassEmbeddings",
    "TripletOrder",
    "diagnose",
    "optimize_class_embeddings",
    "proximity_loss",
    "ranking_loss",
    "separation_loss",
]
