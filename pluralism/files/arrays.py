"""Named arrays in one safetensors file: no pickle, checked before anything is allocated, written atomically."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save as _serialise

from pluralism.errors import ModelFileError, UsageError
from pluralism.files.atomic import atomic_write
from pluralism.files.header import DTYPES, read_header
from pluralism.files.safe_open import open_plain

__all__ = ["DEFAULT_MAX_BYTES", "arrays_to_bytes", "load_arrays", "save_arrays"]

DEFAULT_MAX_BYTES = 8 * 2**30
_WRITABLE = frozenset(DTYPES.values())


def arrays_to_bytes(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Serialise named arrays as the content of a safetensors file; equal input gives equal bytes.

    Raises
    ------
    UsageError
        A dtype that the format does not know (objects, strings, complex numbers, dates).
    """
    ready: dict[str, np.ndarray] = {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _WRITABLE or name == "__metadata__":
            raise UsageError(
                f"Array {name!r} of dtype {array.dtype} cannot be saved.",
                fix="Save numbers or booleans; turn labels into arrays with encode_strings.",
            )
        ready[name] = np.asarray(array, dtype=dtype, order="C")
    return _serialise(ready, dict(sorted(metadata.items())) if metadata else None)


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays to a safetensors file, atomically.

    Parameters
    ----------
    path : path-like
        The file; its directory must exist.
    arrays : mapping of str to ndarray
        Numbers and booleans, of any shape.
    metadata : mapping of str to str, optional
        Free text kept in the header.

    Raises
    ------
    StorageError
        The file could not be written; what was there before is intact.
    UsageError
        A dtype that cannot be saved.
    """
    atomic_write(path, arrays_to_bytes(arrays, metadata))


def load_arrays(
    path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file that may come from a stranger.

    The header is checked against the size of the file before memory is asked for, and nothing in the file is ever
    run: a pickle under this name, a wrong header, a shape larger than the file, spans that overlap, a symbolic
    link are all refused.

    Parameters
    ----------
    path : path-like
        A regular file.
    max_bytes : int
        Largest file accepted.

    Returns
    -------
    arrays : dict of str to ndarray
        Fresh, writable arrays.
    metadata : dict of str to str
        The free text of the header.

    Raises
    ------
    ModelFileError
        The file is refused.
    StorageError
        The file is missing or cannot be read.
    """
    where = os.fspath(path)
    with open_plain(path, max_bytes=max_bytes) as (stream, size):
        entries, metadata = read_header(stream, size, where)
        arrays: dict[str, np.ndarray] = {}
        for entry in entries:
            array: np.ndarray[Any, np.dtype[Any]] = np.empty(entry.shape, entry.dtype)
            raw = array.reshape(-1).view(np.uint8)
            if raw.size and stream.readinto(raw.data) != raw.size:
                raise ModelFileError("The file became shorter while it was read.", where=where, fix="Load it again.")
            if entry.dtype == np.bool_ and raw.size and raw.max() > 1:
                raise ModelFileError(f"Array {entry.name!r} holds booleans other than 0 and 1.", where=where)
            arrays[entry.name] = array
    return arrays, metadata
