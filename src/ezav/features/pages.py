"""What the pages of a Parquet file claim to unpack to, read before any of them is unpacked.

The sizes in a file's footer are not what a reader takes memory for: each page says its own, up to
2 GiB, in a header before it (Thrift's compact protocol). This reads those headers and no more.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_SIZE, _STORED = 2, 3
"""Fields of a page's header: bytes when unpacked, and as stored."""
_DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 7, 8, 9, 10, 12
_BOOLS = (1, 2)
_BYTE = 3
_DEEP = 16


def texts_size(column: pa.ChunkedArray) -> int:
    """Bytes of the texts of a column that was read as numbers standing for texts; 0 of others.

    One long text, a million times, is small on disk.

    Example:
        >>> texts_size(pa.chunked_array([pa.array(["dog", "dog", "cow"]).dictionary_encode()]))
        9
    """
    total = 0
    for part in column.chunks:
        if isinstance(part, pa.DictionaryArray):
            lengths = pc.binary_length(part.dictionary).take(part.indices)
            total += pc.sum(lengths).as_py() or 0
    return total


def unpacked_size(file: pq.ParquetFile, path: Path) -> int:
    """Bytes that all pages of a file claim to have when they are unpacked.

    Raises:
        ValueError: a header is none, or a page ends beyond its column.

    Example:
        >>> import pyarrow as pa, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.parquet")
        ...     pq.write_table(pa.table({"n": [0] * 9999}), path, use_dictionary=False)
        ...     with pq.ParquetFile(path) as file:
        ...         9999 * 8 <= unpacked_size(file, path) < 9999 * 9
        True
    """
    schema = file.metadata.schema
    levels = {
        (schema.column(n).max_definition_level, schema.column(n).max_repetition_level)
        for n in range(len(schema))
    }
    if levels - {(1, 0)}:  # a column that is another than its schema says ends the process
        raise ValueError("a column is no plain list of values")
    total = 0
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for row in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(row)
            for number in range(group.num_columns):
                column = group.column(number)
                begin = column.data_page_offset
                if column.has_dictionary_page and 0 < column.dictionary_page_offset < begin:
                    begin = column.dictionary_page_offset
                end = begin + column.total_compressed_size
                if not 0 <= begin <= end <= len(data):
                    raise ValueError("a column lies beyond the file")
                total += _of_column(data, begin, end)
    return total


def _of_column(data: mmap.mmap, at: int, end: int) -> int:
    total = 0
    while at < end:
        reader = _Header(data, at, end)
        sizes = reader.integers()
        size, stored = sizes.get(_SIZE, -1), sizes.get(_STORED, -1)
        if size < 0 or stored < 0 or reader.at + stored > end:
            raise ValueError("a page without a size")
        total += size
        at = reader.at + stored
    return total


class _Header:
    """A reader of one Thrift struct."""

    def __init__(self, data: mmap.mmap, at: int, end: int) -> None:
        self._data, self.at, self._end = data, at, end

    def integers(self) -> dict[int, int]:
        """Field -> value, of the whole numbers of the struct that begins here."""
        found: dict[int, int] = {}
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else _signed(self._number())
            if kind & 15 in (4, 5, 6):
                found[field] = _signed(self._number())
            else:
                self._skip(kind & 15, 1)
        return found

    def _byte(self) -> int:
        if self.at >= self._end:
            raise ValueError("a page's header has no end")
        self.at += 1
        return self._data[self.at - 1]

    def _number(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number without an end")

    def _skip(self, kind: int, depth: int, inside: bool = False) -> None:
        if depth > _DEEP:
            raise ValueError("a header that is nested too deeply")
        if kind in _BOOLS:
            self.at += inside  # of a struct the value is the type
        elif kind == _BYTE:
            self.at += 1
        elif kind in (4, 5, 6):
            self._number()
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            length = self._number()  # which moves on itself
            self.at += length
        elif kind in (_LIST, _SET):
            self._skip_list(depth)
        elif kind == _STRUCT:
            while inner := self._byte():
                if not inner >> 4:
                    self._number()
                self._skip(inner & 15, depth + 1)
        else:  # a page's header has no map
            raise ValueError("a header of an unknown kind")

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._number()
        for _ in range(count):
            if self.at >= self._end:
                raise ValueError("a page's header has no end")
            self._skip(head & 15, depth + 1, inside=True)


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
