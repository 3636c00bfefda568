"""Where the events of one interview are kept: the protocol of stores, and one in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from pluralism.elicitation.interview.events import Event
from pluralism.errors import ConflictError

__all__ = ["EventStore", "MemoryStore", "conflict"]


class EventStore(Protocol):
    """Keeps the events of one interview, in order; any object with these methods will do.

    A store that more than one process uses must let `append` succeed for only one of several that append at the same
    place, whatever they saw before.
    """

    def read(self) -> Sequence[Event]:
        """All events, from the first."""

    def append(self, event: Event) -> None:
        """Add an event; when this returns it is durable, and if it raises it is not there.

        Raises
        ------
        ConflictError
            There is an event with its number already, or the one before is missing.
        StorageError
            It cannot be written.
        """

    def replace(self, events: Sequence[Event]) -> None:
        """Put these events in the place of all: nothing of the others stays. Used to erase what somebody said."""


def conflict() -> ConflictError:
    """The error for appending at a place that is taken."""
    return ConflictError(
        "Another window or process went on with this interview.",
        fix="Read the state again, and repeat the step if it is still wanted.",
    )


class MemoryStore:
    """Keeps events in memory: for tests, and for interviews that nobody needs to come back to."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def read(self) -> Sequence[Event]:
        """All events, from the first."""
        with self._lock:
            return tuple(self._events)

    def append(self, event: Event) -> None:
        """Add an event."""
        with self._lock:
            if event.seq != len(self._events):
                raise conflict()
            self._events.append(event)

    def replace(self, events: Sequence[Event]) -> None:
        """Put these events in the place of all."""
        with self._lock:
            self._events = list(events)
