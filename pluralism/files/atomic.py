"""Write a file so that a reader, a crash or a full disk sees the old content or the new one, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pluralism.errors import StorageError

__all__ = ["atomic_path", "atomic_write", "remove_abandoned", "storage_error", "sync_directory"]

_TEMPORARY = ".tmp-"
_ABANDONED_AFTER_SECONDS = 24 * 3600.0

_REMEDY = {
    errno.ENOSPC: "Free some space on that disk, or write somewhere else.",
    errno.EDQUOT: "Your disk quota is used up: free some space, or write somewhere else.",
    errno.EFBIG: "The file would be larger than this system or account allows: write somewhere else.",
    errno.EROFS: "That file system is read-only: write somewhere else.",
    errno.EACCES: "Give yourself permission on that directory, or write somewhere else.",
    errno.EPERM: "Give yourself permission on that directory, or write somewhere else.",
    errno.ENOENT: "Check the path: a directory on the way does not exist.",
    errno.ENOTDIR: "Check the path: a part of it that should be a directory is a file.",
    errno.EISDIR: "Check the path: it names a directory, and a file is needed.",
    errno.ENAMETOOLONG: "Use a shorter path.",
    errno.EIO: "The device reports errors: write to another disk, and check this one.",
}


def storage_error(action: str, path: str | os.PathLike[str], cause: OSError) -> StorageError:
    """Turn a failed system call into an error that says which file and what to do.

    Parameters
    ----------
    action : str
        What was tried, as an infinitive: ``"write"``, ``"read"``.
    path : path-like
        The file that the user asked for, not the temporary one.
    cause : OSError
        What the system reported.
    """
    reason = cause.strerror or type(cause).__name__
    fix = _REMEDY.get(cause.errno or 0, "Check the path, its permissions and the disk, then run again.")
    error = StorageError(f"Could not {action} the file: {reason}.", where=os.fspath(path), fix=fix)
    error.errno = cause.errno
    return error


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable (Windows cannot, and does not need it)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write `data` to `path`: whole and durable when this returns, unchanged if it raises.

    The data go to a temporary file in the same directory, which is synced and then renamed over `path`. A failed
    sync is never tried again: the kernel may report success for data that it has dropped.

    Parameters
    ----------
    path : path-like
        The file; its directory must exist.
    data : bytes or str
        Content; a str is written as UTF-8.

    Raises
    ------
    StorageError
        Disk full, read-only directory, failing device. If only the last step failed (syncing the directory), the
        new content is already in place, whole.
    """
    target = Path(path)
    view = memoryview(data.encode() if isinstance(data, str) else data)
    temporary = _temporary_name(target)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _publish(temporary, target)
    except OSError as cause:
        raise storage_error("write", target, cause) from cause
    finally:
        with suppress(OSError):
            os.unlink(temporary)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends without an error.

    For writers that want a path rather than bytes (Parquet, figures). The temporary name keeps the suffix of
    `path`, because many writers choose the format by it.

    Parameters
    ----------
    path : path-like
        The file; its directory must exist.

    Yields
    ------
    Path
        Where to write. If the block raises, the file there is removed and `path` stays as it was.

    Raises
    ------
    StorageError
        As in `atomic_write`; other errors of the block pass through.
    """
    target = Path(path)
    temporary = _temporary_name(target)
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _publish(temporary, target)
    except OSError as cause:
        if isinstance(cause, StorageError) or (cause.errno not in _REMEDY):
            raise
        raise storage_error("write", target, cause) from cause
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def remove_abandoned(directory: Path, *, older_than: float = _ABANDONED_AFTER_SECONDS) -> None:
    """Remove temporary files that a killed process left in `directory`.

    Parameters
    ----------
    directory : Path
        Where to look; not recursive.
    older_than : float
        Age in seconds; younger files may belong to a writer that is alive.
    """
    limit = time.time() - older_than
    for entry in directory.glob(f".*{_TEMPORARY}*"):
        with suppress(OSError):
            if entry.lstat().st_mtime < limit:
                entry.unlink()


def _temporary_name(target: Path) -> Path:
    # The stem is cut so that a name at the length limit of the file system still gets its temporary sibling.
    return target.with_name(f".{target.stem[:64]}{_TEMPORARY}{secrets.token_hex(8)}{target.suffix[:32]}")


def _publish(temporary: Path, target: Path) -> None:
    os.replace(temporary, target)
    sync_directory(target.parent)
