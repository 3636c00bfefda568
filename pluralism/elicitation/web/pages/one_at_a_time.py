"""A lock for each interview: one that is asked to go on twice at once asks its model once."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

__all__ = ["OneAtATime"]


class OneAtATime:
    """Gives the lock of an interview; those that nobody holds are forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
        self._guard = threading.Lock()

    def of(self, participant: str) -> _Lock:
        """The lock of one interview."""
        with self._guard:
            lock = self._locks.get(participant)
            if lock is None:
                lock = self._locks[participant] = _Lock()
            return lock


class _Lock:
    """A lock that can be referred to weakly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
