"""Lists of strings as two plain arrays, so that labels can live beside numbers in an array file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pyarrow as pa

from pluralism.errors import DataError, ModelFileError, PluralismError

__all__ = ["decode_strings", "encode_strings"]


def encode_strings(strings: Sequence[str] | pa.LargeStringArray) -> dict[str, np.ndarray]:
    """Turn strings into bytes and offsets.

    Parameters
    ----------
    strings : sequence of str or pyarrow large string array
        Any text, byte for byte: nothing is normalised.

    Returns
    -------
    dict
        ``bytes`` (UTF-8 of all strings, uint8) and ``offsets`` (int64, one more than there are strings).

    Raises
    ------
    DataError
        A null, something that is no string, or a lone surrogate.

    Examples
    --------
    >>> decode_strings(encode_strings(["you", "", "me"]))
    ['you', '', 'me']
    """
    try:
        column = strings if isinstance(strings, pa.Array) else pa.array(strings, pa.large_string())
        column = column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as cause:
        raise _bad_string(strings, str(cause)) from cause
    if column.null_count:
        raise _bad_string(strings, "a null")
    _, offset_buffer, byte_buffer = column.buffers()
    if offset_buffer is None or not len(column):
        return {"bytes": np.empty(0, np.uint8), "offsets": np.zeros(1, np.int64)}
    offsets = np.frombuffer(offset_buffer, np.int64)[column.offset : column.offset + len(column) + 1]
    raw = np.frombuffer(byte_buffer, np.uint8) if byte_buffer is not None else np.empty(0, np.uint8)
    return {"bytes": raw[offsets[0] : offsets[-1]].copy(), "offsets": offsets - offsets[0]}


def decode_strings(arrays: Mapping[str, np.ndarray], *, where: str | None = None) -> list[str]:
    """Turn bytes and offsets (see `encode_strings`) back into strings.

    Raises
    ------
    ModelFileError
        The arrays are not what `encode_strings` makes: offsets that fall or leave the bytes, broken UTF-8.
    """
    raw, offsets = arrays.get("bytes"), arrays.get("offsets")
    try:
        if raw is None or offsets is None or raw.ndim != 1 or offsets.ndim != 1 or not len(offsets):
            raise ValueError("bytes and offsets are needed, each one-dimensional")
        if raw.dtype != np.uint8 or offsets.dtype != np.int64 or offsets[0] != 0 or offsets[-1] != len(raw):
            raise ValueError("the offsets do not span the bytes")
        column = pa.LargeStringArray.from_buffers(
            len(offsets) - 1, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(raw))
        )
        column.validate(full=True)
    except (ValueError, pa.ArrowInvalid) as cause:
        raise ModelFileError(
            f"Stored strings are damaged: {cause}.", where=where, fix="Get a good copy of the file, or make it again."
        ) from cause
    return cast("list[str]", column.to_pylist())


def _bad_string(strings: Sequence[str] | pa.LargeStringArray, reason: str) -> PluralismError:
    for index, string in enumerate(strings):
        value = string.as_py() if isinstance(string, pa.Scalar) else string
        if not isinstance(value, str):
            return DataError(f"Only strings can be stored, not {value!r}.", where=f"index {index}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            return DataError("A string holds half of a surrogate pair and is no text.", where=f"index {index}")
    return DataError(f"These strings cannot be stored: {reason}.")
