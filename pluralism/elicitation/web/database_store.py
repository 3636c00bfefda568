"""The events of one interview in the database of the service."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from pluralism.elicitation.interview.events import Event, Withdrawn
from pluralism.elicitation.interview.fold import apply, fold
from pluralism.elicitation.interview.state import InterviewState
from pluralism.elicitation.interview.store import conflict
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.erasure import erase_participant, forget_deleted
from pluralism.elicitation.web.event_rows import events_of
from pluralism.elicitation.web.recording import record
from pluralism.elicitation.web.study_transaction import study_transaction
from pluralism.errors import InterviewError

__all__ = ["DatabaseStore"]

_KEY_CHARACTERS = 200


class DatabaseStore:
    """Keeps the events of one interview, and with each event what it adds to the study, in one transaction.

    Parameters
    ----------
    database : Database
    study_id, participant_id : str
        Of a participant who has joined.
    """

    def __init__(self, database: Database, study_id: str, participant_id: str) -> None:
        self.database, self.study_id, self.participant_id = database, study_id, participant_id
        # What the events lead to that were read or appended last: spares reading them again for each that follows.
        self._read: tuple[Event, ...] = ()
        self._state: InterviewState | None = None

    def __repr__(self) -> str:
        return f"DatabaseStore(study {self.study_id}, participant {self.participant_id})"

    def read(self) -> Sequence[Event]:
        """All events, from the first; none before the interview was begun."""
        with self.database.read() as connection:
            events = tuple(events_of(connection, self.participant_id))
        self._read, self._state = events, None
        return events

    def append(self, event: Event) -> None:
        """Add an event. One that withdraws erases what was said in the same transaction.

        Raises
        ------
        ConflictError
            There is an event with its number already, or the one before is missing.
        InterviewError
            The key is too long.
        StorageError
            The database cannot be written.
        """
        if event.key is not None and len(event.key) > _KEY_CHARACTERS:
            raise InterviewError("The key of this step is too long.", fix=f"Use {_KEY_CHARACTERS} characters at most.")
        events, people = tables.events.c, tables.participants.c
        with study_transaction(self.database, self.study_id, event.at) as study:
            deleted = select(people.deleted_at).where(people.id == self.participant_id)
            known = select(func.count()).where(events.participant_id == self.participant_id)
            if study.connection.scalar(known) != event.seq or study.connection.scalar(deleted) is not None:
                raise conflict()
            if isinstance(event.body, Withdrawn):
                erase_participant(study, self.participant_id, by=self.participant_id)
                state = None
            else:
                before = self._before(study.connection, event.seq)
                state = fold([event]) if before is None else apply(before, event)
                record(study, self.participant_id, event, state)
        self._state = state
        if isinstance(event.body, Withdrawn):
            forget_deleted(self.database)

    def replace(self, events: Sequence[Event]) -> None:
        """Erase what was said. The engine asks for it when somebody withdraws; `append` has done it by then."""
        people = tables.participants.c
        with study_transaction(self.database, self.study_id, events[-1].at) as study:
            deleted = select(people.deleted_at).where(people.id == self.participant_id)
            if study.connection.scalar(deleted) is None:
                erase_participant(study, self.participant_id, by=self.participant_id)
        forget_deleted(self.database)

    def _before(self, connection: Connection, version: int) -> InterviewState | None:
        """The state before the next event; as events are only added, as many of them are the same ones."""
        if self._state is not None and self._state.version == version:
            return self._state
        if len(self._read) == version:
            return fold(self._read) if self._read else None
        events = events_of(connection, self.participant_id)
        return fold(events) if events else None
