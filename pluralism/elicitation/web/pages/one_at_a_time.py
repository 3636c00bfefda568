"""A lock for each interview: one that is asked to go on twice at once asks its model once."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

__all__ = ["OneAtATime"]


class OneAtATime:
    """Gives the lock of an interview, to be waited for without a thread; those that nobody holds are forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, participant: str) -> asyncio.Lock:
        """The lock of one interview."""
        lock = self._locks.get(participant)
        if lock is None:
            lock = self._locks[participant] = asyncio.Lock()
        return lock
