"""The events of one interview in a file, one a line: what is acknowledged survives a kill at any point."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pluralism.elicitation.interview.events import Event
from pluralism.elicitation.interview.store import conflict
from pluralism.errors import DataError
from pluralism.files import LineLog

__all__ = ["JsonlStore"]


class JsonlStore:
    """The events of one interview in a JSON-lines file of its own; see `pluralism.files.line_log` for what it survives.

    Parameters
    ----------
    path : path-like
        Made when the first event is appended; its directory must exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._log = LineLog(path)
        self.path = self._log.path

    def __repr__(self) -> str:
        return f"JsonlStore({str(self.path)!r})"

    def read(self) -> Sequence[Event]:
        """All events, from the first; none where there is no file.

        Raises
        ------
        DataError
            A line that is whole is no event; the error names it.
        """
        return tuple(self._event(number, line) for number, line in enumerate(self._log.read()))

    def append(self, event: Event) -> None:
        """Add an event, durably."""
        if not self._log.append(event.to_json().encode(), at=event.seq):
            raise conflict()

    def replace(self, events: Sequence[Event]) -> None:
        """Put these events in the place of all."""
        self._log.replace([event.to_json().encode() for event in events])

    def _event(self, number: int, line: bytes) -> Event:
        where = f"{self.path}, line {number + 1}"
        try:
            event = Event.from_json(line)
        except DataError as error:
            raise DataError(error.what, where=where, fix=error.fix) from None
        if event.seq != number:
            raise DataError(
                f"The event on this line has the number {event.seq}: lines are missing or doubled.",
                where=where,
                fix="Restore the file from a copy.",
            )
        return event
