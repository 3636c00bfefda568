"""Open a file that a stranger may have prepared: a plain file, no link, its size known before it is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

from pluralism.errors import ModelFileError
from pluralism.files.atomic import storage_error

__all__ = ["open_plain"]


@contextmanager
def open_plain(path: str | os.PathLike[str], *, max_bytes: int) -> Iterator[tuple[BufferedReader, int]]:
    """Open a regular file for reading and give its size.

    Everything is asked of the open descriptor, so the file cannot be exchanged between the check and the read.

    Parameters
    ----------
    path : path-like
        A regular file; symbolic links, devices and pipes are refused.
    max_bytes : int
        Largest size accepted.

    Yields
    ------
    (BufferedReader, int)
        The open file and its size in bytes.

    Raises
    ------
    ModelFileError
        Not a regular file, or larger than `max_bytes`.
    StorageError
        The file is missing or cannot be read.
    """
    name = os.fspath(path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if stat.S_ISLNK(os.lstat(name).st_mode):
            raise ModelFileError(
                "The file is a symbolic link, which is refused.", where=name, fix="Copy the real file to that place."
            )
        descriptor = os.open(name, flags)
    except OSError as cause:
        raise storage_error("read", name, cause) from cause
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError("This is not a regular file.", where=name, fix="Give the path of a saved file.")
        if status.st_size > max_bytes:
            raise ModelFileError(
                f"The file has {status.st_size:,} bytes; at most {max_bytes:,} are accepted.",
                where=name,
                fix="If you trust this file, load it with a larger max_bytes.",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            yield stream, status.st_size
    finally:
        os.close(descriptor)
