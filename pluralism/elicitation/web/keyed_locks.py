"""A lock for each key: who asks for the same thing waits for whoever makes it, who asks for another does not."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from weakref import WeakValueDictionary

__all__ = ["KeyedLocks"]


class KeyedLocks:
    """Gives the locks of threads; those that nobody holds are forgotten."""

    def __init__(self) -> None:
        self._giving = threading.Lock()
        self._locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    def of(self, key: Hashable) -> threading.Lock:
        """The lock of a key."""
        with self._giving:
            lock = self._locks.get(key)
            if lock is None:
                lock = self._locks[key] = threading.Lock()
            return lock
