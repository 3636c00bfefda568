"""SHA-256 of a file, read in pieces."""

from __future__ import annotations

import hashlib
import os

from pluralism.files.atomic import storage_error

__all__ = ["file_digest"]


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as 64 hex digits.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as cause:
        raise storage_error("read", path, cause) from cause
