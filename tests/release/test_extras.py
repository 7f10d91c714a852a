"""The wheel in a fresh environment: with no extra, and with each extra alone.

The quick ones are in the suite; `make release-check` runs those that start a server, Ray or a
training, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.release.building import Built
from tests.release.environments import Missing, extras_of, fresh, say

OLD = Path(__file__).parents[1] / "fixtures" / "ezav-0.1.0"
HDF5 = (
    "from pathlib import Path; from ezav.features.importers import files; "
    "files._open_h5(Path('a.h5')).__enter__()"
)
WORDS = (
    "import ezav.encoders as e; "
    "words = e.load('text', 'word2vec', {'source': 'words.txt'}, import_code=False); "
    "print(list(words.encode(['dog'])[0].tolist()))"
)
FIND = (
    "import torch; from ezav.library.vectors import Vectors; "
    "some = Vectors(torch.arange(3), torch.zeros(3, 2), torch.eye(3).half()); "
    "print(some.nearest(torch.tensor([0.0, 1.0, 0.5]), 2))"
)
TORCHCODEC = "from ezav.media.codec import require_torchcodec; require_torchcodec()"
SERVE = (
    "import ezav; from ezav.web.server import serving; from ezav.web.settings import WebSettings; "
    "page = serving(ezav.Recognizer.load('run'), WebSettings(port=0), []); "
    "print(page.__enter__()); page.__exit__(None, None, None)"
)
RAY = ("ezav", "extract", "clips", "--out", "new", "--engine", "ray", "--visual", "statistics")
TUNE = ("ezav", "tune", "store", "--out", "search", "--trials", "1", "--seeds", "1")

Command = tuple[str, ...]
COMMANDS: dict[str, tuple[Command, str, str]] = {
    "sign": (("ezav", "sign", "--new-key", "key"), "package cryptography", "key.pub"),
    "import": (("python", "-c", HDF5), "needs h5py", "not a readable HDF5"),
    "word2vec": (("python", "-c", WORDS), "need gensim", "[1.0, 0.0, 0.0]"),
    "find": (("python", "-c", FIND), "usearch is not installed", "([1, 2], [1.0, 0.5])"),
    "tune": ((*TUNE, "--epochs", "1", "--processes", "1"), "needs optuna", "-tuned.yaml"),
    "export": (("ezav", "export", "run", "--out", "out"), "needs the package 'onnx'", "model.onnx"),
    "web": (("python", "-c", SERVE), "needs Starlette", "http://127.0.0.1"),
    "cluster": ((*RAY, "--audio", "statistics"), "Ray is not installed", "feature store: new"),
    "codec": (("python", "-c", TORCHCODEC), "torchcodec is not installed", ""),
}
"""Extra -> a command of it, what is said without the extra, and what with it."""
QUICK = ("sign",)


def _slow(extra: str) -> object:
    return extra if extra in QUICK else pytest.param(extra, marks=pytest.mark.release)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in: the store and run of 0.1, a clip, three words."""
    folder = shutil.copytree(OLD, tmp_path_factory.mktemp("user") / "here")
    for name in ("circle", "square", "triangle", "diamond"):
        for number in range(3):
            path = folder / "clips" / name / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "clip.mp4", path)
    (folder / "words.txt").write_text("2 3\ndog 1 0 0\ncat 0 1 0\n")
    (folder / "a.h5").write_text("not hdf5")
    return folder


@pytest.fixture(scope="module")
def base(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh(built, tmp_path_factory.mktemp("base") / "env")


def test_every_extra_has_a_command(built: Built) -> None:
    assert set(COMMANDS) == extras_of(built) - {"all", "dev", "docs"}


def test_without_extras_it_is_imported_and_answers(base: Path, world: Path, built: Built) -> None:
    status, said = say(base, "python", "-c", "import ezav; print(ezav.__file__)", cwd=world)
    assert status == 0
    assert said.startswith(str(base.parent))
    assert say(base, "ezav", "--version", cwd=world) == (0, f"ezav {built.version}\n")
    status, said = say(base, "ezav", "--help", cwd=world)
    assert status == 0
    assert "predict" in said
    status, said = say(base, "ezav", "predict", "run", "clip.mp4", cwd=world)
    assert (status, "yellow circle sliding" in said) == (0, True), said


@pytest.mark.parametrize("extra", [_slow(extra) for extra in COMMANDS])
def test_without_an_extra_one_line_says_which(base: Path, world: Path, extra: str) -> None:
    command, without, _ = COMMANDS[extra]
    status, said = say(base, *command, cwd=world)
    assert status != 0
    assert without in said
    assert f"pip install 'ezav[{extra}]'" in " ".join(said.split())
    if command[0] == "ezav":
        assert "Traceback" not in said


@pytest.mark.parametrize("extra", [_slow(extra) for extra in COMMANDS if extra != "codec"])
def test_with_an_extra_alone_its_command_works(
    built: Built, world: Path, tmp_path: Path, extra: str
) -> None:
    command, _, with_it = COMMANDS[extra]
    try:
        programs = fresh(built, tmp_path / "env", extra)
    except Missing as name:
        pytest.fail(f"'{name}' is not installed: make setup")
    here = shutil.copytree(world, tmp_path / "here")
    assert say(programs, "ezav", "--help", cwd=here)[0] == 0
    status, said = say(programs, *command, cwd=here)
    assert with_it in said, said
    assert (status == 0) == (extra != "import"), said
