"""Files of strangers are read as data, or refused in one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ezav.data_pickle import load_data_npy, load_data_pickle
from ezav.errors import EzavError


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


def test_code_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Code()))
    with pytest.raises(EzavError, match=r"refused to load '\w+\.system' from a pickle"):
        load_data_pickle(tmp_path / "a.pkl")
    np.save(tmp_path / "a.npy", np.array([_Code()], dtype=object), allow_pickle=True)
    with pytest.raises(EzavError, match=r"refused to load '\w+\.system' from a pickle"):
        load_data_npy(tmp_path / "a.npy")
