"""Valid files, changed: by bytes, and by what their format means, so that more than heads is met.

A mutation is a function of (bytes, generator) alone: the seed makes the same input again.
"""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

CANARY = "fuzz_canary"
"""A module that tells when it is imported; its name is put where names may stand."""
ODD: list[Any] = [
    *(None, True, -1, 0, 1 << 31, 1 << 63, 1 << 64, -(1 << 63), 10**400, 1e308, 0.5, "", "\0"),
    *("../../x", "/etc/passwd", f"{CANARY}:Thing", "a" * 5000, "\ud7ff\u202e", [], {}, [[]]),
    *(float("nan"), float("inf"), {"": 0}, "1e999", "-1", "nan", "\x1b[2J", "=1+1", [0] * 300),
]
TOKENS: list[bytes] = [
    *(b"\0", b"\xff" * 8, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"-1", b"1e999", b"NaN"),
    *(b"../", b"/", b"\n", b"\r\n", b'"', b",", b":", b"[" * 50, b"{" * 50, b"&a ", b"*a"),
    *(b"!!", b"!!python/object/apply:os.system", CANARY.encode(), CANARY.encode() + b":Thing"),
    *(b"\xef\xbb\xbf", b"\x80\x04", b"c" + CANARY.encode() + b"\nThing\n", b"R", b"\x93", b"\x94"),
    *(b"h\0", b".", "\u202e".encode(), "\u2028".encode(), b"\x1b[2J", b"=cmd()", b"\xc3", b";"),
]
SCALARS: list[bytes] = [
    *(b"!!int x", b"!!float ''", b"!!bool x", b"!!timestamp x", b"!!binary x", b"!!set x"),
    *(b"!!map x", b"!!omap x", b"!!pairs x", b"!!null x", b"2001-13-45", b"2001-01-01 25:61:61"),
    *(b"1:99:99", b"~", b"0x", b"0b2", b"1_0", b".inf", b"-.nan", b"1" * 5000, b"? x", b"<<: x"),
    *(b"- - -", b"[", b"}", b"|", b">-", b"%TAG", b"---", b"...", b"*x", b"&x", b"&x [*x]", b"@"),
    *(b"`", b"'", b'"\\x', b"#"),
]
"""What a word of YAML may be replaced with."""
NUMBERS = (0, 1, -1, 7, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 31)


def by_bytes(data: bytes, draw: random.Random) -> bytes:
    """A few changes of bits, bytes, pieces and lengths."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        size = len(out)
        at = draw.randrange(size + 1)
        end = min(size, at + draw.choice((1, 2, 4, 8, 16, 64, 512)))
        way = draw.randrange(10)
        if way == 0 and size:
            out[at % size] ^= 1 << draw.randrange(8)
        elif way == 1 and size:
            out[at % size] = draw.randrange(256)
        elif way == 2:
            del out[at:end]
        elif way == 3:
            out[at:at] = out[at:end]
        elif way == 4:
            out[at:at] = draw.choice(TOKENS)
        elif way == 5:
            token = draw.choice(TOKENS)
            out[at : at + len(token)] = token
        elif way == 6:
            del out[at:]
        elif way == 7:
            other = draw.randrange(size + 1)
            out[at:end] = out[other : other + end - at]
        elif way == 8 and size >= 8:  # a length, an offset or a count of a binary format
            letter = draw.choice("HIQ")
            number = draw.choice((*NUMBERS, draw.getrandbits(64), size, size - at))
            width = struct.calcsize(letter)
            place = draw.choice((at, at - at % width))
            whole = (number % (1 << 8 * width)).to_bytes(width, draw.choice(("little", "big")))
            out[place : place + width] = whole
        else:
            out[at:end] = draw.randbytes(end - at)
    return bytes(out)


def a_value(found: Any, draw: random.Random) -> Any:
    """A value of JSON with one place in it changed."""
    if isinstance(found, dict) and found and draw.random() < 0.85:
        name = draw.choice(list(found))
        way = draw.randrange(8)
        if way == 0:
            return {key: value for key, value in found.items() if key != name}
        if way == 1:
            other = draw.choice(ODD)
            return {**found, other if isinstance(other, str) else "more": draw.choice(ODD)}
        return {**found, name: a_value(found[name], draw)}
    if isinstance(found, list) and found and draw.random() < 0.85:
        at = draw.randrange(len(found))
        way = draw.randrange(8)
        if way == 0:
            return found[:at] + found[at + 1 :]
        if way == 1:
            return [*found, found[at]]
        return [*found[:at], a_value(found[at], draw), *found[at + 1 :]]
    if isinstance(found, str) and draw.random() < 0.5:
        try:  # JSON in JSON
            inner = json.loads(found)
            if isinstance(inner, dict | list):
                return json.dumps(a_value(inner, draw))
        except ValueError:
            pass
        return by_bytes(found.encode(), draw).decode("utf-8", "replace")
    if isinstance(found, int) and not isinstance(found, bool) and draw.random() < 0.5:
        return found + draw.choice((-1, 1, 7, -found, found, 1 << 20))
    return draw.choice(ODD)


def json_text(data: bytes, draw: random.Random) -> bytes:
    """A JSON file (or lines of it) with places changed."""
    lines = data.splitlines()
    if data[:1] == b"{" and len(lines) > 1 and lines[1][:1] == b"{":
        at = draw.randrange(len(lines))
        lines[at] = json.dumps(a_value(json.loads(lines[at]), draw)).encode()
        return b"\n".join(lines) + b"\n" * draw.randrange(2)
    found = json.loads(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        found = a_value(found, draw)
    return json.dumps(found).encode()


def safetensors_file(data: bytes, draw: random.Random) -> bytes:
    """A safetensors file whose header says something else."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    for _ in range(draw.choice((1, 1, 2))):
        head = a_value(head, draw)
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def parquet_file(data: bytes, draw: random.Random) -> bytes:
    """A Parquet table, written anew with a column, a value or its metadata changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(BytesIO(data))
    metadata = dict(table.schema.metadata or {})
    way = draw.randrange(4)
    if way == 0 and metadata:
        key = draw.choice(list(metadata))
        try:
            metadata[key] = json.dumps(a_value(json.loads(metadata[key]), draw)).encode()
        except ValueError:
            metadata[key] = by_bytes(metadata[key], draw)
    elif way == 1:
        table = table.drop_columns([draw.choice(table.column_names)])
    elif way == 2:
        names = list(table.column_names)
        names[draw.randrange(len(names))] = draw.choice(names)
        table = table.rename_columns(names)
    else:
        at = draw.randrange(table.num_columns)
        values = table.column(at).to_pylist()
        for _ in range(draw.choice((1, 2, 9))):
            if values:
                values[draw.randrange(len(values))] = a_value(draw.choice(values), draw)
        try:
            column = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError, UnicodeError):
            column = pa.array([str(value).encode("utf-8", "replace").decode() for value in values])
        table = table.set_column(at, table.column_names[at], column)
    sink = BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    return sink.getvalue()


def yaml_text(data: bytes, draw: random.Random) -> bytes:
    """YAML with words replaced, or lines moved, repeated or set further in."""
    lines = data.splitlines()
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(lines))
        way = draw.randrange(5)
        if way == 0:
            lines.insert(draw.randrange(len(lines)), lines[at])
        elif way == 1:
            lines[at] = b" " * draw.randrange(6) + lines[at].lstrip()
        elif words := list(re.finditer(rb"[\w.+-]+", lines[at])):
            word = draw.choice(words)
            other = draw.choice(draw.choice((SCALARS, TOKENS)))
            lines[at] = lines[at][: word.start()] + other + lines[at][word.end() :]
    return b"\n".join(lines) + b"\n"


def table_text(data: bytes, draw: random.Random) -> bytes:
    """A table of text with cells, columns or rows changed."""
    comma = b"\t" if b"\t" in data else b","
    rows = [line.split(comma) for line in data.splitlines()]
    for _ in range(draw.choice((1, 1, 2, 4))):
        row = rows[draw.choice((0, draw.randrange(len(rows))))]
        at = draw.randrange(len(row)) if row else 0
        way = draw.randrange(6)
        if way == 0:
            rows.insert(draw.randrange(len(rows) + 1), list(row))
        elif way == 1:
            row[at : at + 1] = []
        elif way == 2:
            row.insert(at, draw.choice(row) if row else b"")
        elif row:
            odd = draw.choice(ODD)
            text = odd if isinstance(odd, str) else json.dumps(odd)
            cell = text.encode("utf-8", "surrogatepass")
            row[at] = draw.choice((cell, b'"' + cell + b'"', by_bytes(row[at], draw)))
    text = draw.choice((b"\n", b"\n", b"\r\n", b"\r")).join(comma.join(row) for row in rows)
    if draw.random() < 0.1:
        text = text.replace(comma, b";")
    return draw.choice((b"", b"", b"\xef\xbb\xbf")) + text


def media_file(data: bytes, draw: random.Random) -> bytes:
    """A recording with a length or a number near a name of four letters changed."""
    out = bytearray(data)
    named = [at for at in range(4, len(data) - 12) if data[at : at + 4].isalpha()] or [4]
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.choice(named) + draw.choice((-4, 4, 8, 12, 16, 20))
        number = draw.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, draw.getrandbits(32), len(data)))
        struct.pack_into(draw.choice("<>") + "I", out, max(0, min(at, len(out) - 4)), number)
    return bytes(out)


Mutation = Callable[[bytes, random.Random], bytes]
MEANT: dict[str, Mutation] = {
    ".csv": table_text,
    ".tsv": table_text,
    ".yaml": yaml_text,
    ".yml": yaml_text,
    ".json": json_text,
    ".jsonl": json_text,
    ".journal": json_text,
    ".safetensors": safetensors_file,
    ".checkpoint": safetensors_file,
    ".parquet": parquet_file,
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".avi", ".wav", ".flv"), media_file),
}


def mutated(name: str, data: bytes, draw: random.Random) -> bytes:
    """One changed input of a valid file of that name."""
    meant = next((MEANT[end] for end in MEANT if name.endswith(end)), None)
    if meant is not None and draw.random() < 0.6:
        try:
            return meant(data, draw)
        except Exception:  # the format's own writer refuses what was made
            return by_bytes(data, draw)
    return by_bytes(data, draw)
