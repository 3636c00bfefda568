"""Finished parts of a long computation, kept on disk so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pluralism.errors import ModelFileError, UsageError
from pluralism.files.arrays import DEFAULT_MAX_BYTES, load_arrays, save_arrays
from pluralism.files.atomic import remove_abandoned, storage_error

__all__ = ["Checkpoint"]

_log = logging.getLogger(__name__)
_SUFFIX = ".checkpoint.safetensors"


class Checkpoint:
    """Arrays and facts under string keys in a directory.

    Each entry is one file, written atomically and with a checksum. An entry that is damaged counts as absent (a
    warning is logged): the part is then computed again. Two processes may use one directory.

    Parameters
    ----------
    directory : path-like
        Made at the first `put`.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> store = Checkpoint(tempfile.mkdtemp())
    >>> store.put("start 0", {"coef": np.ones(2)}, {"objective": -1.5})
    >>> store.get("start 0")
    ({'coef': array([1., 1.])}, {'objective': -1.5})
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.directory)!r})"

    def get(self, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return the arrays and facts stored under `key`, equal bit for bit, or None.

        Raises
        ------
        StorageError
            An entry is there and cannot be read (permission, failing device).
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            arrays, metadata = load_arrays(path, max_bytes=8 * DEFAULT_MAX_BYTES)
            if metadata.get("digest") != _digest(key, metadata.get("info", ""), arrays):
                raise ModelFileError("Wrong checksum.", where=str(path))
            return arrays, json.loads(metadata["info"])
        except ModelFileError as damage:
            _log.warning("The checkpoint entry %s (%r) is damaged and will be made again: %s", path, key, damage.what)
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray], info: Mapping[str, Any] | None = None) -> None:
        """Store arrays and JSON facts under `key`; when this returns they are on disk.

        Raises
        ------
        StorageError
            Disk full, read-only directory, failing device; an earlier entry stays whole.
        UsageError
            `info` is not JSON (NaN and infinity are allowed here).
        """
        try:
            text = json.dumps(dict(info or {}))
        except (TypeError, ValueError) as cause:
            raise UsageError(f"The facts of a checkpoint must be JSON: {cause}.") from cause
        path = self._path(key)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise storage_error("write", path, cause) from cause
        plain = {name: np.asarray(array) for name, array in arrays.items()}
        save_arrays(path, plain, {"info": text, "digest": _digest(key, text, plain)})

    def clear(self) -> None:
        """Remove all entries, and what killed writers left; the directory stays."""
        for path in self.directory.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                path.unlink()
        remove_abandoned(self.directory)

    def _path(self, key: str) -> Path:
        return self.directory / f"{hashlib.sha256(key.encode()).hexdigest()}{_SUFFIX}"


def _digest(key: str, info: str, arrays: Mapping[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for part in (key, info):
        state.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], dtype=arrays[name].dtype.newbyteorder("<"), order="C")
        head = json.dumps([name, array.dtype.str, list(array.shape)]).encode()
        state.update(len(head).to_bytes(8, "little") + head)
        state.update(array.reshape(-1).view(np.uint8).data)
    return state.hexdigest()
