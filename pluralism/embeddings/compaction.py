"""Merge many small shards into one, while others read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from pluralism.embeddings.shard import SUFFIX, Shard, write_shard
from pluralism.files.atomic import storage_error

__all__ = ["compact_shards", "wants_compaction"]

_SMALL = 64 * 2**20
_AT_MOST = 256 * 2**20
_MANY = 16


def wants_compaction(place: Path) -> bool:
    """Whether a directory holds so many small shards that searching them one after another is slow."""
    small = 0
    for path in place.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # merged by another process since it was listed
            small += path.stat().st_size <= _SMALL
    return small >= _MANY


def compact_shards(place: Path, space: str, shards: Sequence[Shard]) -> list[Path]:
    """Write the rows of the small shards to one new shard, then remove the small ones.

    The new shard is on disk before any old one goes, so a kill between the two leaves rows twice, never zero times.
    A reader that has an old one open keeps it; one that is about to open it finds it gone, and lists again.

    Returns
    -------
    list of Path
        Shards that are damaged; they were left as they are.

    Raises
    ------
    StorageError
        The new shard could not be written; nothing was removed.
    """
    damaged: list[Path] = []
    if len(shards) < 2:
        return damaged
    with _only_one(place) as mine:
        if not mine:
            return damaged
        merged: list[Shard] = []
        digests, vectors, lengths, total = [], [], [], 0
        for shard in sorted(shards, key=lambda shard: (shard.nbytes, shard.path.name)):
            total += shard.nbytes
            if shard.nbytes > _SMALL or total > _AT_MOST:
                break
            if merged and (shard.dim, shard.vectors.dtype) != (merged[0].dim, merged[0].vectors.dtype):
                continue
            rows = np.arange(len(shard))
            copy = np.empty_like(shard.vectors)
            if not shard.read(rows, rows, copy):
                damaged.append(shard.path)
                continue
            merged.append(shard)
            digests.append(shard.digests)
            vectors.append(copy)
            lengths.append(shard.lengths)
        if len(merged) > 1:
            write_shard(place, space, np.concatenate(digests), np.concatenate(vectors), np.concatenate(lengths))
            for shard in merged:
                with suppress(OSError):  # another process was first, or (Windows) still reads it: then next time
                    shard.path.unlink()
    return damaged


@contextmanager
def _only_one(place: Path) -> Iterator[bool]:
    """Whether this process may merge: two that merge the same shards do no harm, but twice the work."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    try:
        descriptor = os.open(place, os.O_RDONLY)
    except OSError as cause:
        raise storage_error("write", place, cause) from cause
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # some network file systems know no locks
            yield True
            return
        yield True
    finally:
        os.close(descriptor)
