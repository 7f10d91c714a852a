"""Class embeddings: names and vectors, their optimization (CEO), diagnostics, and new names."""

from ezav.classes.diagnostics import Diagnostics, diagnose
from ezav.classes.embeddings import ClassEmbeddings
from ezav.classes.extend import extend_class_embeddings
from ezav.classes.losses import proximity_loss, ranking_loss, separation_loss
from ezav.classes.optimize import (
    NotConverged,
    OptimizedClassEmbeddings,
    optimize_class_embeddings,
)
from ezav.classes.ranking import TripletOrder
from ezav.classes.recipe import ClassEmbeddingRecipe, RecipeChoice, choose_recipe
from ezav.classes.settings import CeoSettings
from ezav.classes.tradeoff import TradeoffPoint, tradeoff

__all__ = [
    "CeoSettings",
    "ClassEmbeddingRecipe",
    "ClassEmbeddings",
    "Diagnostics",
    "NotConverged",
    "OptimizedClassEmbeddings",
    "RecipeChoice",
    "TradeoffPoint",
    "TripletOrder",
    "choose_recipe",
    "diagnose",
    "extend_class_embeddings",
    "optimize_class_embeddings",
    "proximity_loss",
    "ranking_loss",
    "separation_loss",
    "tradeoff",
]
