"""A recogniser in a ZIP file is opened as its folder is, and a hostile one does no harm."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.errors import EzavError
from ezav.recognizer import Recognizer
from ezav.recognizer.find import find

OLD = Path(__file__).parents[1] / "fixtures" / "ezav-0.1.0"


def _pack(path: Path, prefix: str, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (OLD / "run").iterdir():
            archive.write(file, prefix + file.name)
        for name, data in more.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("prefix", ["recogniser/", "", "a/b/"])
def test_it_is_opened_as_its_folder_is(
    tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    Recognizer.load(OLD / "run").save(saved)
    packed = tmp_path / "mine.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in saved.iterdir():
            archive.write(file, prefix + file.name)
        archive.writestr("classes.txt", "a\n")
    assert main(["verify", str(packed)]) == 0
    assert f"{packed}: its files" in capsys.readouterr().out.replace("\n", "")
    folder = find(packed)
    held, wanted = ({f.name: f.read_bytes() for f in one.iterdir()} for one in (folder, saved))
    assert held == wanted
    assert find(packed) == folder
    assert Recognizer.load(packed).classes == Recognizer.load(saved).classes


def test_what_a_killed_process_unpacked_is_swept(tmp_path: Path) -> None:
    packed, temporary = _pack(tmp_path / "a.zip", "r/"), tmp_path / "temporary"
    temporary.mkdir()
    code = "import os, sys; from ezav.recognizer.find import find; print(find(sys.argv[1]))"
    there = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    for end in ("; sys.stdout.flush(); os.kill(os.getpid(), 9)", ""):
        command = [sys.executable, "-c", code + end, str(packed)]
        said = subprocess.run(command, env=there, stdout=subprocess.PIPE, text=True, check=False)
        assert said.stdout.startswith(str(temporary))
        assert Path(said.stdout.strip()).exists() == bool(end)
    assert list(temporary.iterdir()) == []


def test_names_that_lead_elsewhere_and_what_grows_is_not_taken(tmp_path: Path) -> None:
    outside = {"../evil.json": b"x", "/tmp/evil.json": b"x", "..\\result.json": b"x"}
    folder = find(_pack(tmp_path / "a.zip", "r/", **outside, **{"r/evil.py": b"x"}))
    ours = {file.name for file in (OLD / "run").iterdir()}
    assert {file.name for file in folder.iterdir()} <= ours
    assert not (folder.parent / "evil.json").exists()

    many = {f"r/taught-{number}.safetensors": bytes(50_000_000) for number in range(4)}
    with pytest.raises(EzavError, match=r"would be 20\d,\d{3},\d{3} bytes"):
        find(_pack(tmp_path / "b.zip", "r/", **many))
    with pytest.raises(EzavError, match="more than one recogniser"):
        find(_pack(tmp_path / "c.zip", "r/", **{"other/result.json": b"{}"}))
    empty = tmp_path / "d.zip"
    zipfile.ZipFile(empty, "w").close()
    with pytest.raises(EzavError, match="holds no recogniser"):
        find(empty)
    (tmp_path / "e.zip").write_bytes(b"PK no archive")
    with pytest.raises(EzavError, match="cannot be unpacked"):
        find(tmp_path / "e.zip")
