"""One check of a device for Python and every command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ezav.classes import optimize_class_embeddings
from ezav.cli.main import main
from ezav.device import choose_device
from ezav.errors import UnavailableError
from ezav.protocol import TwoStageProtocol, read_model
from ezav.recognizer import Recognizer
from tests import worlds

NO_DEVICES = ("cudaa", "", "gpu", "cuda:", "cpu:x")
CLIP = "clip,device=cudaa"
NOT_HERE = ("cuda:99", "meta", "xpu")


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("name", NO_DEVICES)
def test_what_is_no_device_is_said(name: str) -> None:
    with pytest.raises(UnavailableError, match=f"there is no device '{name}'"):
        choose_device(name)


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_is_not_here_is_said(name: str) -> None:
    with pytest.raises(UnavailableError, match=f"device '{name}' is not usable here"):
        choose_device(name)


def test_every_door_of_python_and_every_command_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = worlds.store(tmp_path / "store")
    run = tmp_path / "run"
    assert main(["run", "eszsl", str(store.path), "--out", str(run)]) == 0
    capsys.readouterr()
    for call in (
        lambda: Recognizer.load(run, device="cudaa"),
        lambda: Recognizer.from_pretrained(run, device="cudaa"),
        lambda: read_model(run, "cudaa"),
        lambda: TwoStageProtocol(method="eszsl", device="cudaa").fit(store),
        lambda: optimize_class_embeddings(store.class_embeddings(), device="cudaa"),
    ):
        with pytest.raises(UnavailableError, match="there is no device 'cudaa'"):
            call()
    videos = tmp_path / "videos"
    for number in range(40):
        clip = videos / f"class {number % 4}" / f"{number}.mp4"
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.write_bytes(b"")
    given = {
        "predict": [str(run), "clip.mp4"],
        "scan": [str(run), "clip.mp4"],
        "serve": [str(run)],
        "run": ["eszsl", str(store.path), "--out", str(tmp_path / "a")],
        "bench": [str(store.path), "--methods", "eszsl", "--out", str(tmp_path / "b")],
        "ablate": [str(store.path), "--out", str(tmp_path / "c")],
        "tune": [str(store.path), "--trials", "1", "--out", str(tmp_path / "d")],
        "extract": [str(videos), "--out", str(tmp_path / "e"), "--visual", CLIP],
    }
    for command, arguments in given.items():
        device = [] if command == "extract" else ["--device", "cudaa"]
        assert main([command, *arguments, *device]) == 1
        told = capsys.readouterr().err
        assert "there is no device 'cudaa'" in told, command
        assert len(told.splitlines()) == 1
