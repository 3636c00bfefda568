"""One immutable file of vectors: sorted digests to search, vectors to map, and a check for every row.

A shard is a safetensors file with the arrays

- ``digests`` (rows, 4): of the texts, in ascending order;
- ``checks`` (rows,): a checksum of each vector together with its digest;
- ``lengths`` (rows,): tokens of the text, 0 where unknown;
- ``vectors`` (rows, dim): float32 or float16.

Its metadata hold the space, and the SHA-256 of everything but the vectors. That is compared when the shard is opened;
a vector is compared with its check each time it is read. So the cost of both is that of what is read, and a block
that goes bad later is noticed too.
"""

from __future__ import annotations

import functools
import hashlib
import math
import mmap
import os
import secrets
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Int32, Int64, UInt64

from pluralism.embeddings.digests import WORDS
from pluralism.errors import ModelFileError
from pluralism.files import save_arrays
from pluralism.files.header import read_header
from pluralism.files.safe_open import open_plain

__all__ = ["SUFFIX", "Shard", "write_shard"]

SUFFIX = ".shard"
_VERSION = "1"


class Shard:
    """A shard, opened for reading: mapped into memory, its index checked.

    Parameters
    ----------
    path : Path
        The file.
    space : str
        The space its vectors must belong to.

    Raises
    ------
    ModelFileError
        The shard is damaged, or of another space.
    StorageError
        The shard is gone, or cannot be read.
    """

    def __init__(self, path: Path, space: str) -> None:
        self.path = path
        with open_plain(path, max_bytes=2**62) as (stream, size):
            entries, metadata = read_header(stream, size, str(path))
            memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        arrays = {
            entry.name: np.frombuffer(memory, entry.dtype, math.prod(entry.shape), entry.start).reshape(entry.shape)
            for entry in entries
            if entry.stop > entry.start
        }
        self.digests: UInt64[np.ndarray, "rows 4"] = self._array(arrays, "digests", ("<u8",), (-1, WORDS))
        rows = len(self.digests)
        self.checks: UInt64[np.ndarray, " rows"] = self._array(arrays, "checks", ("<u8",), (rows,))
        self.lengths: Int32[np.ndarray, " rows"] = self._array(arrays, "lengths", ("<i4",), (rows,))
        self.vectors: Float[np.ndarray, "rows dim"] = self._array(arrays, "vectors", ("<f4", "<f2"), (rows, -1))
        expected = {"version": _VERSION, "space": space, "index": _index_digest(space, arrays)}
        if metadata != expected:
            raise ModelFileError("The checksum of the index is wrong.", where=str(path))

    def _array(
        self, arrays: dict[str, np.ndarray], name: str, dtypes: tuple[str, ...], shape: tuple[int, ...]
    ) -> np.ndarray:
        array = arrays.get(name)
        fits = array is not None and array.dtype.str in dtypes and array.ndim == len(shape)
        if (
            array is None
            or not fits
            or any(want not in (-1, have) for want, have in zip(shape, array.shape, strict=True))
        ):
            raise ModelFileError("This is no shard of an embedding cache.", where=str(self.path))
        return array

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return int(self.vectors.nbytes)

    @functools.cached_property
    def _starts(self) -> Int64[np.ndarray, " buckets"]:
        from pluralism.embeddings.gather import bucket_starts

        return bucket_starts(self.digests)

    def find(
        self, wanted: UInt64[np.ndarray, "texts 4"], slots: Int64[np.ndarray, " open"]
    ) -> Int64[np.ndarray, " open"]:
        """Row of ``wanted[slot]`` for each of `slots`, -1 where it is not here."""
        from pluralism.embeddings.gather import find_rows

        return find_rows(self._starts, self.digests, wanted, slots)

    def read(
        self, rows: Int64[np.ndarray, " found"], slots: Int64[np.ndarray, " found"], out: Float[np.ndarray, "texts dim"]
    ) -> bool:
        """Copy the vectors of `rows` to ``out[slots]`` (float32, or as stored); False if one is damaged."""
        from pluralism.embeddings.gather import gather_rows

        return gather_rows(self.vectors, self.digests, self.checks, rows, slots, out)


def write_shard(
    directory: Path,
    space: str,
    digests: UInt64[np.ndarray, "rows 4"],
    vectors: Float[np.ndarray, "rows dim"],
    lengths: Int[np.ndarray, " rows"],
) -> Path:
    """Write a new shard, atomically and under a name of its own; repeated digests are stored once.

    Raises
    ------
    StorageError
        It could not be written; nothing has changed.
    """
    from pluralism.embeddings.gather import row_checks

    order = np.lexsort(digests.T[::-1])
    ordered = digests[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(1)
    kept = order[first]
    seeds, stored = np.ascontiguousarray(digests[kept]), np.ascontiguousarray(vectors[kept])
    arrays = {
        "digests": seeds,
        "checks": row_checks(stored, seeds),
        "lengths": np.minimum(lengths[kept], np.iinfo(np.int32).max).astype(np.int32),
        "vectors": stored,
    }
    path = directory / f"{os.getpid():08d}-{secrets.token_hex(8)}{SUFFIX}"
    save_arrays(path, arrays, {"version": _VERSION, "space": space, "index": _index_digest(space, arrays)})
    return path


def _index_digest(space: str, arrays: dict[str, np.ndarray]) -> str:
    vectors = arrays["vectors"]
    state = hashlib.sha256(f"{_VERSION}\0{space}\0{vectors.dtype.str}\0{vectors.shape}\0".encode())
    for name in ("digests", "checks", "lengths"):
        array = arrays[name]
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
