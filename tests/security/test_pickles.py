"""Promise: a pickle or a `.npy` file can neither run code, nor read memory, nor fill it."""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ezav.data_pickle import load_data_npy, load_data_pickle
from ezav.errors import EzavError
from tests.security.limits import answer

DTYPE = b"cnumpy\ndtype\n(X\x02\x00\x00\x00%sI00\nI01\ntR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"


def _doubled(times: int, end: bytes) -> bytes:
    """A tuple of two tuples of two tuples …, of which each pair is one."""
    return b"\x80\x04)" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(times)) + end


LOAD_PICKLE = "from ezav.data_pickle import load_data_pickle"
BOMBS = {
    "memo": b"\x80\x04Nr\xff\xff\xff\x3f.",
    "bytearray": b"\x80\x04c__builtin__\nbytearray\n\x8a\x05"
    + struct.pack("<q", 7 << 30)[:5]
    + b"\x85R.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "ndarray": b"\x80\x04cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.",
    "reconstruct": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n"
    b"(cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85C\x02f8tR.",
    "key": _doubled(60, b"q\xf0}h\xf0Ns."),
    "set": b"\x80\x04(" + _doubled(60, b"\x91.")[2:],
    "doubled": _doubled(60, b"."),
    "sets": b"\x80\x04(" + b"\x8f" * 3_000_000 + b"t.",
    "deep": b"\x80\x04" + b"(" * 2_000_000 + b"t" * 2_000_000 + b".",
    "long": b"\x80\x04\x8b" + struct.pack("<i", 1 << 30) + b".",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_takes_what_its_size_allows(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(BOMBS[name])
    told = answer(
        f"{LOAD_PICKLE}\n"
        f"found = load_data_pickle({str(tmp_path / 'a.pkl')!r})\n"
        "print('read', found)"
    )
    wanted = "read None" if name == "memo" else ("RefusedError: ", "DamagedError: ")
    assert told.startswith(wanted)
    assert len(told.splitlines()) == 1


def _npy(content: bytes) -> bytes:
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def _array(dtype: bytes, shape: bytes, data: bytes) -> bytes:
    return b"\x80\x04" + ARRAY + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


HIDDEN = (
    DTYPE % b"V8"
    + b"(K\x03X\x01\x00\x00\x00|N(X\x01\x00\x00\x00at}X\x01\x00\x00\x00a("
    + DTYPE % b"O8"
    + b"K\x00tsJ\x08\x00\x00\x00K\x01K\x00tb"
)
"""A type of eight plain bytes whose state says that they are an object."""


def test_a_type_cannot_hide_an_object(tmp_path: Path) -> None:
    address = struct.pack("<Q", 0x4141414141414141)
    bad = _array(HIDDEN, b"K\x01\x85", b"C\x08" + address)
    (tmp_path / "a.npy").write_bytes(_npy(bad))
    told = answer(
        "from ezav.data_pickle import load_data_npy\n"
        f"found = load_data_npy({str(tmp_path / 'a.npy')!r})\n"
        "print(repr(found['a']))"
    )
    assert "refused the array type 'V8'" in told


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        (b"O8", b"K\x05\x85", b"]"),  # fewer objects than the shape has
        (b"O8", b"J\xff\xff\xff\x7f\x85", b"]"),
        (b"f8", b"K\x05\x85", b"C\x08" + bytes(8)),
        (b"f8", b"J\xff\xff\xff\xff\x85", b"C\x08" + bytes(8)),
        (b"U1", b"K\x01\x85", b"C\x04\xff\xff\xff\xff"),
        (b"S0", b"J\xff\xff\xff\x7f\x85", b"C\x00"),
    ],
)
def test_counts_are_compared_before_anything_is_taken(
    dtype: bytes, shape: bytes, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.pkl").write_bytes(_array(DTYPE % dtype, shape, data))
    with pytest.raises(EzavError):
        load_data_pickle(tmp_path / "a.pkl")


def test_records_in_the_header_of_an_npy_file_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2, dtype=[("a", "f4")]))
    with pytest.raises(EzavError, match="it holds records"):
        load_data_npy(tmp_path / "a.npy")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside) | st.tuples(inside),
    max_leaves=20,
)


@given(value=plain, protocol=st.integers(0, 5))
@example(value="¡", protocol=0)
def test_what_is_data_comes_back(
    value: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("pickle") / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    if protocol == 0 and "\\" in repr(value):
        return  # texts with escapes, which nobody's feature files hold
    assert load_data_pickle(path) == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_come_back_with_type_and_order(protocol: int, tmp_path: Path) -> None:
    arrays: list[Any] = [
        np.arange(6, dtype=kind).reshape(2, 3) for kind in ("f2", "f4", ">f8", "i1", "u8", "c8")
    ]
    arrays += [np.asfortranarray(arrays[0]), np.array(["a", "ß"]), np.array([b"a"]), arrays[1].T]
    arrays += [np.array([True, False]), np.zeros((0, 3)), np.float32(2.5), np.int64(-3)]
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.ones(2), "text"]
    value = {"arrays": arrays, "same": [arrays[0]] * 3, "ragged": ragged, "set": {1, "a"}}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol))
    found = load_data_pickle(tmp_path / "a.pkl")
    for wanted, got in zip([*arrays, *value["same"]], [*found["arrays"], *found["same"]]):
        np.testing.assert_array_equal(got, wanted, strict=True)
        assert got.dtype == wanted.dtype
    np.testing.assert_equal(found["ragged"].tolist(), ragged.tolist())
    assert found["set"] == value["set"]


CODES = [code.code.encode("latin1") for code in pickletools.opcodes]
SEEDS = [
    pickle.dumps({"features": [np.ones((2, 3), "f4")], "video_names": ["a"]}, p) for p in (2, 4)
]


CHANGE = st.tuples(st.integers(0, 400), st.sampled_from(CODES) | st.binary(max_size=3))


@settings(max_examples=300)
@given(seed=st.sampled_from(SEEDS), changes=st.lists(CHANGE))
def test_whatever_the_bytes_it_is_data_or_an_error_of_the_user(
    seed: bytes, changes: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(seed)
    for place, new in changes:
        place %= len(data) + 1
        data[place : place + len(new)] = new
    path = tmp_path_factory.mktemp("pickle") / "a.pkl"
    path.write_bytes(bytes(data))
    with contextlib.suppress(EzavError):
        load_data_pickle(path)


def test_a_header_that_ends_early_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"}", b"("))
    with pytest.raises(EzavError, match=r"is not a numpy \.npy file"):
        load_data_npy(tmp_path / "a.npy")
