"""Promise: an HDF5 file gives what lies in it, and takes what its size allows."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from ezav.errors import EzavError
from ezav.features.importers.files import _read_h5
from tests.security.limits import answer

h5py = pytest.importorskip("h5py")

NAMES = ["a", "b", "c"]
SECRET = "not in the file".ljust(48)


def _write(path: Path, names: list[str] | None = None) -> h5py.File:
    file = h5py.File(path, "w")
    text = h5py.string_dtype()
    file.create_dataset("video_urls", data=NAMES if names is None else names, dtype=text)
    return file


def test_what_is_in_the_file_is_read(tmp_path: Path) -> None:
    values = np.arange(12, dtype="f4").reshape(3, 4)
    for options in ({}, {"compression": "gzip"}, {"chunks": (1, 2)}):
        with _write(tmp_path / "a.h5") as file:
            file.create_dataset("data", data=values, **options)
        read = _read_h5(tmp_path / "a.h5", np.empty)
        assert read.clips == NAMES
        assert np.array_equal(read.values, values)


@pytest.mark.parametrize(
    "options", [{}, {"maxshape": (None,)}, {"chunks": (2,), "compression": "gzip"}]
)
def test_texts_are_read_however_they_lie(options: dict[str, object], tmp_path: Path) -> None:
    names = ["", "ü" * 3000, *(f"clip {n}" for n in range(300))]
    for block in (0, 512):
        with h5py.File(tmp_path / "a.h5", "w", userblock_size=block) as file:
            file["data"] = np.ones((len(names), 2), "f4")
            file.create_dataset("video_urls", data=names, dtype=h5py.string_dtype(), **options)
        assert _read_h5(tmp_path / "a.h5", np.empty).clips == names


def _free_of_nothing(data: bytearray, heap: int) -> None:
    """Free space of no bytes, behind which the next object is itself."""
    at = heap + 16
    while data[at] or data[at + 1]:
        at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    data[at + 8 : at + 16] = bytes(8)


def _a_heap_without_end(data: bytearray, heap: int) -> None:
    data[heap + 8 : heap + 16] = (1 << 40).to_bytes(8, "little")


def _a_long_text(data: bytearray, heap: int) -> None:
    reference = data.index(heap.to_bytes(8, "little") + (1).to_bytes(4, "little")) - 4
    data[reference : reference + 4] = (1 << 31).to_bytes(4, "little")


@pytest.mark.parametrize("attack", [_free_of_nothing, _a_heap_without_end, _a_long_text])
def test_a_heap_that_leads_nowhere_is_no_heap(attack: object, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with _write(path) as file:
        file["data"] = np.ones((3, 1), "f4")
    data = bytearray(path.read_bytes())
    attack(data, data.index(b"GCOL"))  # type: ignore[operator]
    path.write_bytes(data)
    told = answer(
        "from pathlib import Path\nimport numpy as np\n"
        "from ezav.features.importers.files import _read_h5\n"
        f"_read_h5(Path({str(path)!r}), np.empty)",
        memory=1 << 29,
    )
    assert told.startswith("DamagedError: ")
    assert "is a damaged HDF5 file: " in told
    assert "heap" in told


def _external_storage(file: h5py.File, secret: Path) -> None:
    file.create_dataset("data", (3, 4), "f4", external=[(os.fspath(secret), 0, 48)])


def _external_link(file: h5py.File, secret: Path) -> None:
    with h5py.File(secret.with_name("other.h5"), "w") as other:
        other["data"] = np.ones((3, 4), "f4")
    file["data"] = h5py.ExternalLink("other.h5", "/data")


def _soft_link(file: h5py.File, secret: Path) -> None:
    _external_link(file, secret)
    file["outer"] = file.get("data", getlink=True)
    del file["data"]
    file["data"] = h5py.SoftLink("/outer")


def _virtual(file: h5py.File, secret: Path) -> None:
    with h5py.File(secret.with_name("other.h5"), "w") as other:
        other["data"] = np.ones((3, 4), "f4")
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(secret.with_name("other.h5"), "data", (3, 4))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("attack", [_external_storage, _external_link, _soft_link, _virtual])
def test_no_other_file_is_read(attack: object, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with _write(tmp_path / "a.h5") as file:
        attack(file, tmp_path / "secret")  # type: ignore[operator]
    with pytest.raises(EzavError, match=r"a link to somewhere else|lies in other files"):
        _read_h5(tmp_path / "a.h5", np.empty)


def _claims(file: h5py.File) -> None:
    file.create_dataset("data", (1_500_000, 1000), "f4", chunks=(1000, 1000))


def _packed(file: h5py.File) -> None:
    data = file.create_dataset("data", (4096, 1 << 17), "f4", chunks=(64, 1 << 17), compression=9)
    chunk = zlib.compress(bytes(64 * (1 << 17) * 4), 9)
    for start in range(0, 4096, 64):
        data.id.write_direct_chunk((start, 0), chunk)


def _one_long_name(file: h5py.File) -> None:
    """Many names that lie in one place: what a reference of 16 bytes stands for is long."""
    file["data"] = np.ones((40_000, 1), "f4")
    del file["video_urls"]
    text = file.create_dataset("video_urls", (40_000,), h5py.string_dtype())
    text[0] = "n" * (1 << 20)
    file.flush()
    place, name = text.id.get_offset(), file.filename
    file.close()
    with open(name, "r+b") as raw:
        raw.seek(place)
        reference = raw.read(16)
        raw.seek(place)
        raw.write(reference * 40_000)


@pytest.mark.parametrize("attack", [_claims, _packed, _one_long_name])
def test_a_file_takes_what_its_size_allows(attack: object, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    file = _write(path)
    attack(file)  # type: ignore[operator]
    file.close()
    assert path.stat().st_size < 1 << 22
    told = answer(
        "from pathlib import Path\nimport numpy as np\n"
        "from ezav.features.importers.files import _read_h5\n"
        f"_read_h5(Path({str(path)!r}), np.empty)"
    )
    assert told.startswith("RefusedError: refused '")


def test_numbers_of_a_kind_that_nothing_here_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(2**20)
    with _write(path) as file:
        h5py.h5d.create(file.id, b"data", kind, h5py.h5s.create_simple((3, 4)))
    with pytest.raises(EzavError, match="no numbers that can be read in 'data'"):
        _read_h5(path, np.empty)
