"""Figures of class embeddings: the same bytes every time, and what they show is what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import AxesImage
from matplotlib.text import Text
from scipy.spatial.distance import pdist

from ezav.classes import ClassEmbeddingRecipe, ClassEmbeddings, tradeoff
from ezav.errors import EzavError
from ezav.reports.figures.embeddings import pair_pictures, similarity_pictures, tradeoff_picture
from tests.classes.test_ceo_optimize import text

NAMES = tuple(f"class ${i} <&>" for i in range(45))
T = ClassEmbeddings(NAMES, text(45, 20))
W = ClassEmbeddings(NAMES[::-1], text(45, 20, seed=2))


def test_the_same_embeddings_give_the_same_files(tmp_path: Path) -> None:
    recipes = ClassEmbeddingRecipe().candidates((0.2, 0.5), (0.05, 0.1))
    points = tradeoff(T.select(NAMES[:12]), recipes)
    assert len(points) == 5
    assert points[0].diagnostics.orderings_kept == 1.0

    def write(folder: Path) -> list[Path]:
        pictures = [*pair_pictures(T, W), tradeoff_picture(points, ClassEmbeddingRecipe())]
        return [path for picture in pictures for path in picture.write(folder)]

    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert len({path.name for path in first}) == 8
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert (tmp_path / "a" / "tradeoff.svg").read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "a" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")


def test_the_matrices_are_the_cosines_of_the_classes_they_name() -> None:
    before, after, _ = pair_pictures(T, W)
    for picture, made in ((before, T), (after, W)):
        axes = picture.figure.axes[0]
        (image,) = [child for child in axes.get_children() if isinstance(child, AxesImage)]
        shown = np.asarray(image.get_array())
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert sorted(names) == sorted(NAMES)
        rows = [made.names.index(name) for name in names]
        vectors = made.vectors[rows].numpy().astype(float)
        squared = np.array([[((a - b) ** 2).sum() for b in vectors] for a in vectors])
        assert np.allclose(shown, 1 - squared / 2, atol=1e-6)
        # All pairs of two classes are inside the scale, which is that of the other picture.
        low, high = image.get_clim()
        cosines = np.concatenate([1 - pdist(one.vectors.numpy(), "cosine") for one in (T, W)])
        assert (low, high) == pytest.approx((cosines.min(), cosines.max()), abs=1e-6)


def test_the_nearest_classes_and_the_bound_are_in_the_legend() -> None:
    picture = pair_pictures(T, W)[2]
    words = [text.get_text() for text in picture.figure.findobj(Text)]
    for title, made in (("text", T), ("optimised", W)):
        distance = torch.cdist(made.vectors, made.vectors) + 9 * torch.eye(45)
        assert f"{title}, mean {distance.amin(dim=1).mean():.2f}" in words
    # Twenty dimensions hold no simplex of 45: at most a right angle and a little.
    assert any(word.startswith("bound 1.4") for word in words)


@pytest.mark.parametrize("count", [1, 2, 80])
def test_few_classes_and_many(count: int, tmp_path: Path) -> None:
    some = ClassEmbeddings(tuple(f"c{i}" for i in range(count)), text(max(count, 2), 9)[:count])
    for picture in similarity_pictures({"text": some}):
        assert all(path.stat().st_size > 1000 for path in picture.write(tmp_path))


def test_other_classes_are_no_pair() -> None:
    with pytest.raises(EzavError, match="no class"):
        pair_pictures(T, ClassEmbeddings(("other",), torch.ones(1, 20)))
