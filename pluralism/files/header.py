"""Read and check the header of a safetensors file before anything is allocated for its content.

The format: eight bytes with the length of the header (little endian), a JSON object that gives dtype, shape and
byte span of every tensor, then the bytes. Every span must lie where the shapes say, without holes or overlap, and
end exactly where the file ends; a file that declares more than it holds is refused here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, NoReturn

import numpy as np

from pluralism.errors import ModelFileError

__all__ = ["DTYPES", "ArrayEntry", "read_header"]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}

_MAX_HEADER_BYTES = 4 * 2**20
_MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """Where one array lies: `start` and `stop` are byte offsets in the file."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(stream: BufferedReader, size: int, where: str) -> tuple[list[ArrayEntry], dict[str, str]]:
    """Read the header of an open file of `size` bytes.

    Returns
    -------
    entries : list of ArrayEntry
        In the order of their bytes.
    metadata : dict of str to str
        The free metadata.

    Raises
    ------
    ModelFileError
        Anything that a correct writer would not have written.
    """
    prefix = stream.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        _refuse(f"not a safetensors file, or cut short: {size} bytes cannot hold the header it declares", where)
    if length > _MAX_HEADER_BYTES:
        _refuse(f"the header has {length:,} bytes; at most {_MAX_HEADER_BYTES:,} are accepted", where)
    document = _parse(stream.read(length), where)
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse("the metadata are not a map of strings", where)
    entries = sorted((_entry(*item, 8 + length, where) for item in document.items()), key=lambda e: (e.start, e.stop))
    position = 8 + length
    for entry in entries:
        if entry.start != position:
            _refuse(f"array {entry.name!r} overlaps another or leaves a hole before it", where)
        position = entry.stop
    if position != size:
        _refuse(f"the arrays end at byte {position:,}, the file at byte {size:,}", where)
    return entries, metadata


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            _refuse("a name occurs twice in the header", where)
        return members

    if not raw.startswith(b"{"):
        _refuse("the header is not a JSON object", where)
    try:
        return json.loads(raw.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as cause:
        raise ModelFileError("Refused to load: the header is not valid JSON.", where=where, fix=_FIX) from cause


def _entry(name: str, value: Any, base: int, where: str) -> ArrayEntry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(f"array {name!r} is not described by dtype, shape and data_offsets", where)
    dtype = DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if dtype is None:
        _refuse(f"array {name!r} has the unknown dtype {value['dtype']!r}", where)
    shape, span = value["shape"], value["data_offsets"]
    if not _sizes(shape) or len(shape) > _MAX_DIMENSIONS or not _sizes(span) or len(span) != 2:
        _refuse(f"array {name!r} has a shape or offsets that are not lists of sizes", where)
    expected = dtype.itemsize
    for extent in shape:
        expected *= extent
    if span[1] - span[0] != expected:
        _refuse(f"array {name!r} declares {expected:,} bytes by its shape and {span[1] - span[0]:,} by offsets", where)
    return ArrayEntry(name, dtype, tuple(shape), base + span[0], base + span[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(extent) is int and 0 <= extent < 2**63 for extent in value)


def _refuse(why: str, where: str) -> NoReturn:
    raise ModelFileError(f"Refused to load: {why}.", where=where, fix=_FIX)


_FIX = "The file is damaged or not one of ours: get a good copy, or make it again."
