"""A file of lines that is only added to: what is acknowledged is on the disk, whenever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pluralism.files.atomic import atomic_write, storage_error, sync_directory

__all__ = ["LineLog"]

_END = b"\n"
_BLOCK = 1 << 16


class LineLog:
    """Lines, each written whole and synced before `append` returns.

    A process that is killed while it writes leaves a last line without an end: readers pass over it, and the next
    writer removes it. Nothing else is ever repaired. Writers of several processes take turns by a lock on the file.

    Parameters
    ----------
    path : path-like
        Made, for its owner's eyes alone, when the first line is appended; its directory must exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # Inode, bytes and lines that were counted already: appending to a long log does not read it again.
        self._counted = (-1, 0, 0)

    def __repr__(self) -> str:
        return f"LineLog({str(self.path)!r})"

    def read(self) -> list[bytes]:
        """All whole lines, without their ends; none where there is no file."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as cause:
            raise storage_error("read", self.path, cause) from cause
        return content.split(_END)[:-1]

    def append(self, line: bytes, *, at: int | None = None) -> bool:
        """Add a line, durably.

        Parameters
        ----------
        line : bytes
            Without a line end in it.
        at : int, optional
            How many lines there have to be before it.

        Returns
        -------
        bool
            Whether it was added; False where there are more or fewer lines than `at`.

        Raises
        ------
        StorageError
            It cannot be written; then nothing of it stays.
        """
        with self._writing() as descriptor:
            whole, lines = self._count(descriptor)
            if at is not None and at != lines:
                return False
            data = line + _END
            try:
                if whole < os.fstat(descriptor).st_size:
                    os.ftruncate(descriptor, whole)
                _write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError as cause:
                # Half a line must not stay, or the next one would be joined to it.
                with suppress(OSError):
                    os.ftruncate(descriptor, whole)
                raise storage_error("write", self.path, cause) from cause
            if whole == 0:
                sync_directory(self.path.parent)
            self._counted = (self._counted[0], whole + len(data), lines + 1)
            return True

    def replace(self, lines: Sequence[bytes]) -> None:
        """Put these lines in the place of all: nothing of the others stays."""
        with self._writing():
            atomic_write(self.path, b"".join(line + _END for line in lines))

    def _count(self, descriptor: int) -> tuple[int, int]:
        """Bytes of the whole lines, and their number."""
        inode, whole, lines = self._counted
        found = os.fstat(descriptor)
        if found.st_ino != inode or found.st_size < whole:
            whole, lines = 0, 0
        place = whole
        while piece := _read_at(descriptor, place):
            if _END in piece:
                lines += piece.count(_END)
                whole = place + piece.rfind(_END) + 1
            place += len(piece)
        self._counted = (found.st_ino, whole, lines)
        return whole, lines

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The file, open for appending, and nobody else's meanwhile."""
        descriptor = self._open()
        try:
            _lock(descriptor)
            while not self._is_current(descriptor):
                os.close(descriptor)
                descriptor = self._open()
                _lock(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as cause:
            raise storage_error("write", self.path, cause) from cause

    def _is_current(self, descriptor: int) -> bool:
        """Whether the path still leads to this file; whoever waited for the lock may hold one that was replaced."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two writers at the same moment are not kept apart there
        return
    with suppress(OSError):  # some network file systems know no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _read_at(descriptor: int, place: int) -> bytes:
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, _BLOCK)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
