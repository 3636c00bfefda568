"""Events in a file, one a line: what is acknowledged is on the disk, whenever the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pluralism.elicitation.interview.events import Event
from pluralism.elicitation.interview.store import conflict
from pluralism.errors import DataError
from pluralism.files import atomic_write
from pluralism.files.atomic import storage_error, sync_directory

__all__ = ["JsonlStore"]

_END = b"\n"


class JsonlStore:
    """The events of one interview in a JSON-lines file of its own.

    An event is written whole, with its line end, and synced before `append` returns. A process that is killed while
    it writes leaves a last line without an end: readers pass over it, and the next writer removes it. Nothing else is
    ever repaired. Writers of several processes take turns by a lock on the file.

    Parameters
    ----------
    path : path-like
        Made when the first event is appended; its directory must exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"JsonlStore({str(self.path)!r})"

    def read(self) -> Sequence[Event]:
        """All events, from the first; none where there is no file.

        Raises
        ------
        DataError
            A line that is whole is no event; the error names it.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as cause:
            raise storage_error("read", self.path, cause) from cause
        return tuple(self._events(content))

    def append(self, event: Event) -> None:
        """Add an event, durably."""
        with self._writing() as descriptor:
            content = self.path.read_bytes()
            whole = content.rfind(_END) + 1
            if event.seq != content.count(_END):
                raise conflict()
            line = event.to_json().encode() + _END
            try:
                if whole < len(content):
                    os.ftruncate(descriptor, whole)
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError as cause:
                # Half a line must not stay, or the next event would be joined to it.
                with suppress(OSError):
                    os.ftruncate(descriptor, whole)
                raise storage_error("write", self.path, cause) from cause
            if event.seq == 0:
                sync_directory(self.path.parent)

    def replace(self, events: Sequence[Event]) -> None:
        """Put these events in the place of all."""
        with self._writing():
            atomic_write(self.path, "".join(f"{event.to_json()}\n" for event in events))

    def _events(self, content: bytes) -> Iterator[Event]:
        for number, line in enumerate(content.split(_END)[:-1], 1):
            try:
                event = Event.from_json(line)
            except DataError as error:
                raise DataError(error.what, where=f"{self.path}, line {number}", fix=error.fix) from None
            if event.seq != number - 1:
                raise DataError(
                    f"The event on this line has the number {event.seq}: lines are missing or doubled.",
                    where=f"{self.path}, line {number}",
                    fix="Restore the file from a copy.",
                )
            yield event

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
    except ImportError:  # Windows: the numbers of the events still tell two writers apart, unless at the same moment
        return
    with suppress(OSError):  # some network file systems know no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
