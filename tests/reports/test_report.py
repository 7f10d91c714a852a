"""The page: self-contained, escaped, true to the stored scores, never mixing settings."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.metrics import confusion_matrix as sklearn_confusion

from ezav.errors import EzavError
from ezav.naming import as_cell
from ezav.reports import report, write_report
from ezav.reports.figures.matrix import class_matrix
from ezav.reports.figures.style import SEEN, UNSEEN
from ezav.reports.runs import Run, find_runs, label_runs, principal, without_ceo
from tests.reports.fake_runs import write_run
from tests.reports.page_reader import Page

STRANGE = (
    "<script>alert(1)</script>",
    "$\\frac{1}{2}$ price",
    "\"quotes\" & 'more'",
    "鳥のさえずり",
    "عزف على العود",
    "bell\x07\x00 rings",
    "a name that goes on " * 12,
    "]]><!-- not a comment",
    "%s {title} $title",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        write_run(folder / f"ceo/{seed}", label="with CEO", seed=seed, skill=2.5)
        write_run(folder / f"raw/{seed}", label="raw text", seed=seed, source="raw")
    write_run(folder / "shuffled", label="shuffled", skill=0.2, shuffle=True)
    write_run(folder / "frozen", label="zero-shot", method="zero_shot", skill=5, history=1)
    return folder


@pytest.fixture(scope="module")
def made(runs: Path) -> tuple[str, Path]:
    out = write_report([runs], runs / "report.html", figures=runs / "figures")
    return out.read_text(encoding="utf-8"), runs / "figures"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_is_whole_and_needs_no_network(made: tuple[str, Path]) -> None:
    page = Page(made[0])
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    for reference in page.references:
        assert reference.startswith(("#", "data:")), reference
        if reference.startswith("#"):
            assert reference[1:] in page.ids
    assert "url(http" not in made[0]
    assert "@import" not in made[0]
    assert page.tags.count("svg") >= 8


def test_the_page_says_what_is_asked_of_it(made: tuple[str, Path]) -> None:
    text = " ".join(Page(made[0]).text.split())
    for words in (
        "chance",
        "frozen baseline",
        "is trained, yet below the frozen baseline 'zero-shot'",
        "Confusion without and with CEO",
        "Two-stage protocol",
        "drawn, seed 3",
        "f" * 16,
        "torch",
    ):
        assert words in text
    assert "SIMULATED" not in text
    assert made[0].count("<figcaption") == made[0].count("<figure")


def test_class_names_from_users_are_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "run", names=STRANGE, label="<b>label</b>", unseen=3)
    html = write_report([tmp_path / "run"], tmp_path / "r.html", tmp_path / "f").read_text()
    page = Page(html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "鳥のさえずり" in page.text
    assert "$\\frac{1}{2}$ price" in page.text
    assert "%s {title} $title" in page.text
    drawn = list(ElementTree.parse(tmp_path / "f/recall.svg").getroot().itertext())
    assert "$\\frac{1}{2}$ price" in drawn
    assert "鳥のさえずり" in drawn
    assert "\x07" not in html
    assert "\x00" not in html
    # In the CSV nothing acts; all else is kept as it is.
    written = {row["class"] for row in rows_of(tmp_path / "f/recall.csv")}
    assert written == {as_cell(name) for name in STRANGE}
    assert "鳥のさえずり" in written


def test_confusion_is_that_of_scikit_learn(made: tuple[str, Path], runs: Path) -> None:
    table = rows_of(made[1] / "confusion.csv")
    names = list(table[0])[1:]
    ours = np.array([[int(row[name]) for name in names] for row in table])
    total = np.zeros_like(ours)
    for seed in range(2):
        run = Run.read(runs / f"ceo/{seed}")
        scores = run.test.scores.double() - run.result.gamma * run.test.seen
        true = [run.test.classes[t] for t in run.test.targets]
        said = [run.test.classes[p] for p in scores.argmax(1)]
        total += sklearn_confusion(true, said, labels=names)
    # The frozen rule is better on validation, but a trained row is shown.
    assert (ours == total).all()
    assert ours.sum() == 2 * 48
    seen = set(run.result.candidates["seen"])
    assert [name in seen for name in names] == [True] * 5 + [False] * 3


def test_curves_hold_the_stored_result(made: tuple[str, Path], runs: Path) -> None:
    table = rows_of(made[1] / "seen-unseen.csv")
    for label, folder in (("with CEO", "ceo"), ("raw text", "raw")):
        for seed in range(2):
            metrics = Run.read(runs / folder / str(seed)).result.metrics
            mine = [r for r in table if r["label"] == label and r["seed"] == str(seed)]
            (chosen,) = [row for row in mine if row["chosen"] == "1"]
            assert float(chosen["HM"]) == metrics.HM
            s, u = ([float(r[k]) for r in mine if r["chosen"] == "0"] for k in "SU")
            assert s[-1] == u[0] == 0
            area = -np.trapezoid(u, s)
            assert area == pytest.approx(metrics.AUSUC, abs=1e-12)


def test_mistakes_are_wrong_and_sorted(made: tuple[str, Path], runs: Path) -> None:
    run = Run.read(runs / "ceo/0")
    scores = (run.test.scores.double() - run.result.gamma * run.test.seen).numpy()
    table = rows_of(made[1] / "mistakes.csv")
    margins = []
    for row in table:
        at = run.test.clips.index(row["clip"])
        best = scores[at].argmax()
        assert run.test.classes[best] == row["predicted"] != row["true"]
        margin = scores[at].max() - scores[at, run.test.classes.index(row["true"])]
        assert float(row["margin"]) == pytest.approx(margin, abs=1e-9)
        margins.append(margin)
    assert margins == sorted(margins, reverse=True)
    assert max(sum(r["true"] == row["true"] for r in table) for row in table) <= 2


def test_figures_come_as_svg_png_and_csv(made: tuple[str, Path]) -> None:
    names = {path.name for path in made[1].iterdir()}
    for key in ("comparison", "seen-unseen", "recall", "confusion", "tsne", "similarity-text"):
        assert {f"{key}.svg", f"{key}.png", f"{key}.csv"} <= names
    assert {"confusion-without-ceo.svg", "results.md", "results.csv", "training.csv"} <= names
    assert (made[1] / "recall.png").read_bytes().startswith(b"\x89PNG")
    recall = rows_of(made[1] / "recall.csv")
    assert len(recall) == 8


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    first, second = (write_report([tmp_path / "run"], tmp_path / f"{i}.html") for i in (1, 2))
    assert first.read_bytes() == second.read_bytes()


def test_simulated_data_is_labelled_everywhere(tmp_path: Path) -> None:
    write_run(tmp_path / "run", simulated=True)
    html = write_report([tmp_path / "run"], tmp_path / "r.html", tmp_path / "f").read_text()
    text = Page(html).text
    assert "SIMULATED DATA: the features are random numbers" in text
    assert text.count("SIMULATED DATA. ") == html.count("<figcaption") + 1  # the table's
    for svg in (tmp_path / "f").glob("*.svg"):
        assert "SIMULATED DATA" in svg.read_text(), svg.name


def test_of_two_sections_only_the_simulated_one_is_marked(tmp_path: Path) -> None:
    write_run(tmp_path / "a", simulated=True)
    write_run(tmp_path / "b", label="real", store_fingerprint="0" * 16)
    html = write_report([tmp_path], tmp_path / "r.html").read_text()
    text = Page(html).text
    assert "SIMULATED DATA (" in text
    marked = [section for section in html.split("<section")[1:] if 'class="mark"' in section]
    assert len(marked) == 1
    assert "SIMULATED DATA." in marked[0]


def test_hundreds_of_classes_in_any_order_are_marked_by_side() -> None:
    seen = [bool(n % 3) for n in range(90)]
    figure = class_matrix(
        np.eye(90),
        [f"class {n}" for n in range(90)],
        seen,
        title="",
        colours="cividis",
        limits=(0, 1),
        colour_label="",
        axis_labels=None,
        simulated=False,
    )
    along = {"x": {}, "y": {}}
    for marks in figure.axes[0].collections:
        colour = to_hex(marks.get_colors()[0], keep_alpha=False).upper()
        ends = np.array(marks.get_segments())
        across = "x" if np.ptp(ends[:, :, 0], axis=1).max() == 0 else "y"
        along[across][colour] = sorted(ends[:, 0, 0 if across == "x" else 1])
    wanted = {SEEN: [n for n in range(90) if n % 3], UNSEEN: list(range(0, 90, 3))}
    assert along == {"x": wanted, "y": wanted}


def test_settings_and_stores_get_sections(tmp_path: Path) -> None:
    write_run(tmp_path / "a", label="one")
    write_run(tmp_path / "b", label="two", text_alignment="published")
    write_run(tmp_path / "c", label="three", store_fingerprint="0" * 16)
    html = write_report([tmp_path], tmp_path / "r.html", tmp_path / "f").read_text()
    assert html.count("<section") == 3
    first, second, third = html.split("<section")[1:]
    for section, mine in ((first, "one"), (second, "two"), (third, "three")):
        for label in ("one", "two", "three"):
            assert (f">{label}<" in section) == (label == mine)
    assert "in the published order" in second
    assert "store 00000000" in third
    assert len(Page(html).ids) == len(set(Page(html).ids))
    assert (tmp_path / "f/s3/recall.csv").is_file()


def test_files_of_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1)
    shutil.copy(tmp_path / "b/test.safetensors", tmp_path / "a/test.safetensors")
    with pytest.raises(EzavError, match=r"result\.json beside it says"):
        write_report([tmp_path / "a"], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("name", ["test.safetensors", "text.safetensors", "metrics.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(EzavError, match=name.replace(".", r"\.")):
        write_report([tmp_path / "run"], tmp_path / "r.html")


def test_bad_arguments_are_answered_in_words(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(EzavError, match="no run given"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(EzavError, match="no run at"):
        write_report([tmp_path / "nothing"], tmp_path / "r.html")
    with pytest.raises(EzavError, match="is a folder"):
        write_report([runs], tmp_path)
    with pytest.raises(EzavError, match="no feature store"):
        write_report([runs], tmp_path / "r.html", store=tmp_path / "store")
    with pytest.raises(EzavError, match="no folder"):
        write_report([runs], tmp_path / "r.html", videos=tmp_path / "videos")


def test_each_step_is_told_before_it_is_done(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(report, "clip_map", lambda group: told.append("drawn"))
    write_report([runs / "frozen"], tmp_path / "page.html", on_progress=told.append)
    assert told[told.index("map of the clips") :] == [
        "map of the clips",
        "drawn",
        "mistakes",
        "files",
    ]


def test_runs_are_found_one_and_two_levels_down(runs: Path) -> None:
    found = find_runs([runs, runs / "shuffled"])
    assert len(found) == len(set(found)) == 6


def test_the_model_shown_is_chosen_on_validation(tmp_path: Path) -> None:
    good = write_run(tmp_path / "a", label="good on validation", skill=3)
    write_run(tmp_path / "b", label="good on test", skill=1.5)
    # The other has the better test HM; it must not matter.
    result = json.loads((tmp_path / "a/result.json").read_text())
    result["metrics"]["HM"] = 0.0
    (tmp_path / "a/result.json").write_text(json.dumps(result))
    shown = principal(label_runs([Run.read(tmp_path / name) for name in "ba"]))
    assert shown.label == good.label


def test_without_ceo_is_the_nearest_config_of_the_same_method(tmp_path: Path) -> None:
    write_run(tmp_path / "a", label="ceo", config={"layers": 2})
    write_run(tmp_path / "b", label="far", source="raw", config={"layers": 1})
    write_run(tmp_path / "c", label="near", source="raw", config={"layers": 2})
    write_run(tmp_path / "d", label="else", source="raw", config={"layers": 2}, method="avca")
    groups = label_runs([Run.read(tmp_path / name) for name in "abcd"])
    other = without_ceo(groups[0], groups)
    assert other is not None
    assert other.label == "near"
    assert without_ceo(groups[1], groups) is None


def test_in_the_map_a_clip_lies_near_the_embedding_of_its_class() -> None:
    """Standardised profiles: correlation by numpy, and the share counted clip by clip."""
    import torch

    from ezav.reports.figures.tsne import _at_home, _standardised

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(5, 7))
    rows[3] = 2.0
    found = _standardised(torch.from_numpy(rows)).numpy()
    kept = [0, 1, 2, 4]
    assert np.allclose((found @ found.T / 7)[np.ix_(kept, kept)], np.corrcoef(rows[kept]))
    assert not found[3].any()

    clips, classes = draw.normal(size=(30, 2)), draw.normal(size=(4, 2))
    targets = draw.integers(4, size=30)
    right = 0
    for clip, target in zip(clips, targets):
        right += min(range(4), key=lambda c: float(np.hypot(*(clip - classes[c])))) == target
    assert _at_home(clips, classes, targets) == right / 30
