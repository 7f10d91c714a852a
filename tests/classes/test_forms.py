"""Forms of class embeddings: what they do to the classes, and the same to names typed later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn.functional import normalize

from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings, optimize_class_embeddings
from ezav.errors import EzavError
from tests.classes.test_ceo_optimize import text

CONFUSED = (("b", "e", 0.6), ("c", "j", 0.2), ("a", "not here", 0.9))
FORMS = ("centred", "linear", "strong", "apart", "together")


@pytest.fixture
def classes() -> ClassEmbeddings:
    return ClassEmbeddings(tuple("abcdefghij"), text(10, 24), "encoder@1")


def made(source: str, classes: ClassEmbeddings) -> ClassEmbeddings:
    recipe = ClassEmbeddingRecipe(source=source, alpha=0.2)  # type: ignore[arg-type]
    return recipe.prepare(classes, confused=CONFUSED if recipe.reads_confusions else ())


def flat(classes: ClassEmbeddings) -> np.ndarray:
    rows = classes.vectors.double().numpy()
    rows = rows - rows.mean(axis=0)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ridge(own: np.ndarray, wanted: np.ndarray, penalty: float) -> torch.Tensor:
    """Classes moved by the linear map whose difference to the identity is a ridge regression."""
    fitted = Ridge(penalty, fit_intercept=False).fit(own, wanted - own)
    return normalize(torch.from_numpy(own + fitted.predict(own)), dim=1).float()


def test_centred_is_the_text_less_its_mean(classes: ClassEmbeddings) -> None:
    expected = torch.from_numpy(flat(classes)).float()
    torch.testing.assert_close(made("centred", classes).vectors, expected)


def test_linear_is_a_ridge_regression_onto_the_optimised(classes: ClassEmbeddings) -> None:
    own = flat(classes)
    optimised = optimize_class_embeddings(torch.from_numpy(own).float(), alpha=0.2).vectors
    expected = ridge(own, optimised.double().numpy(), 1.0)
    # The descent ends a little elsewhere for texts that differ by float noise.
    torch.testing.assert_close(made("linear", classes).vectors, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("source", "sign"), [("apart", 1), ("together", -1)])
def test_confused_classes_alone_are_moved(classes: ClassEmbeddings, source: str, sign: int) -> None:
    own = flat(classes)
    wanted = own.copy()
    for a, b, share in ((1, 4, 0.6), (2, 9, 0.2)):
        wanted[a] += sign * share * (own[a] - own[b])
        wanted[b] += sign * share * (own[b] - own[a])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = made(source, classes).vectors
    torch.testing.assert_close(found, ridge(own, wanted, 0.3), atol=1e-5, rtol=0)
    moved = float(found[1] @ found[4]) - float(own[1] @ own[4])
    assert moved * sign < 0


def test_without_confusions_nothing_is_moved(classes: ClassEmbeddings) -> None:
    expected = made("centred", classes).vectors
    for source in ("apart", "together"):
        found = ClassEmbeddingRecipe(source=source).prepare(classes).vectors
        torch.testing.assert_close(found, expected)


def test_strong_leaves_the_weak_directions_alone(classes: ClassEmbeddings) -> None:
    own = flat(classes)
    strong = np.linalg.svd(own)[2][:3]
    part = own @ strong.T
    length = np.linalg.norm(part, axis=1, keepdims=True)
    inside = torch.from_numpy(part / length).float()
    apart = optimize_class_embeddings(inside, alpha=0.2).vectors.double().numpy() * length
    expected = normalize(torch.from_numpy(own - part @ strong + apart @ strong), dim=1).float()
    # A direction's sign is free, and the descent ends a little elsewhere in a mirrored space.
    torch.testing.assert_close(made("strong", classes).vectors, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("source", FORMS)
def test_a_new_name_is_placed_as_the_classes_were(
    classes: ClassEmbeddings, source: str, tmp_path: Path
) -> None:
    recipe = ClassEmbeddingRecipe(source=source, alpha=0.2)  # type: ignore[arg-type]
    trained = made(source, classes)
    trained.save(tmp_path / "w.safetensors")
    kept = ClassEmbeddings.load(tmp_path / "w.safetensors")
    again = ClassEmbeddings(tuple(f"{name} again" for name in classes.names), classes.vectors)
    found = recipe.extend(again, classes, kept).vectors
    torch.testing.assert_close(found, trained.vectors, atol=1e-6, rtol=0)
    new = ClassEmbeddings(("x", "y"), text(2, 24, seed=5))
    both = recipe.extend(new, classes, kept)
    one = recipe.extend(new.select(["y"]), classes, kept)
    torch.testing.assert_close(both.vectors[1:], one.vectors)
    assert not torch.allclose(both.vectors, new.vectors, atol=0.05)


def test_auto_is_no_form_before_validation_has_chosen(classes: ClassEmbeddings) -> None:
    recipe = ClassEmbeddingRecipe(source="auto")
    with pytest.raises(EzavError, match="validation chooses"):
        recipe.prepare(classes)
    labels = [one.label for one in recipe.alternatives()]
    assert labels[0] == "raw"
    assert len(set(labels)) == len(labels)
    assert set(FORMS) <= {one.source for one in recipe.alternatives()}
