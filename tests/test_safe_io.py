"""Files of strangers are read as data, or refused in one line."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.data_pickle import load_data_npy, load_data_pickle
from ezav.errors import EzavError
from ezav.safe_io import check_writable


@pytest.mark.parametrize(
    "data",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.zeros((0, 3)),
        np.array(["a", "bc"]),
        {"dog": np.ones(3, np.float32)},
    ],
)
def test_numpy_files_come_back(tmp_path: Path, data: Any) -> None:
    np.save(tmp_path / "a.npy", data, allow_pickle=True)
    np.testing.assert_equal(load_data_npy(tmp_path / "a.npy"), data)


@pytest.mark.parametrize("shape", [(10**14,), (10**9, 10**9), (3,)])
def test_a_header_that_claims_more_than_the_file_holds(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(16))
    with pytest.raises(EzavError, match=r"a.npy' is not a numpy \.npy file: "):
        load_data_npy(tmp_path / "a.npy")


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit",)


def test_a_header_longer_than_the_file_is_not_made_room_for(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.arange(3.0), version=(2, 0))
    np.testing.assert_equal(load_data_npy(path), np.arange(3.0))
    whole = path.read_bytes()
    for changed in (whole[:8] + b"\xff" * 4 + whole[12:], whole[:8] + b"\xff" * 3):
        path.write_bytes(changed)
        with pytest.raises(EzavError, match=r"a\.npy.* it claims .* bytes of header"):
            load_data_npy(path)


def test_code_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Code()))
    with pytest.raises(EzavError, match=r"refused to load '\w+\.system' from a pickle"):
        load_data_pickle(tmp_path / "a.pkl")
    np.save(tmp_path / "a.npy", np.array([_Code()], dtype=object), allow_pickle=True)
    with pytest.raises(EzavError, match=r"refused to load '\w+\.system' from a pickle"):
        load_data_npy(tmp_path / "a.npy")


WRITES = """
import sys
from ezav.safe_io import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows does not say which processes there are")
def test_what_a_killed_process_left_of_a_file_goes_with_the_next_try(tmp_path: Path) -> None:
    path = tmp_path / "a[1].csv"
    others = [tmp_path / ".a1.csv.1.aaaaaaaa.part", tmp_path / ".a[1].csv.part"]
    for other in others:
        other.touch()
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WRITES, str(path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        check_writable(path)
        (part,) = set(tmp_path.iterdir()) - set(others)
        process.send_signal(signal.SIGKILL)
    assert part.read_text() == "half"
    check_writable(path)
    assert set(tmp_path.iterdir()) == set(others)
