"""The participants of a database: they join, come back, are interviewed, and leave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Row, func, insert, select, update

from pluralism.elicitation.interview.events import SurveyAnswered
from pluralism.elicitation.interview.fold import fold
from pluralism.elicitation.interview.interviewers import Interviewer
from pluralism.elicitation.interview.session import Interview
from pluralism.elicitation.interview.state import InterviewState, Phase
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.content_store import load_case, load_protocol
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.database_pool import DatabasePool
from pluralism.elicitation.web.database_store import DatabaseStore
from pluralism.elicitation.web.erasure import erase_participant, forget_deleted
from pluralism.elicitation.web.event_rows import events_of
from pluralism.elicitation.web.links import Links, closed_link, new_token, take_use, token_digest
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study import Study
from pluralism.elicitation.web.study_transaction import Clock, new_id, study_transaction
from pluralism.embeddings import Encoder
from pluralism.errors import AccessError, ConflictError, NotFoundError, UsageError

__all__ = ["Joined", "Participant", "ParticipantRow", "People"]

RESEARCH = "research"
"""The scope of consent under which organisers may read what was said."""


@dataclass(frozen=True)
class Participant:
    """Somebody who has joined a study.

    Attributes
    ----------
    id : str
        A random pseudonym.
    study_id : str
    link_id : str or None
        By which they joined; None where they were deleted.
    language : str
    joined_at : datetime
    phase : str
        Of the interview.
    consent_version : str or None
    scopes : tuple of str
        What they consent to.
    excluded : bool
        Whether moderators leave their votes out.
    deleted_at : datetime or None
    """

    id: str
    study_id: str
    link_id: str | None
    language: str
    joined_at: datetime
    phase: Phase
    consent_version: str | None
    scopes: tuple[str, ...]
    excluded: bool
    deleted_at: datetime | None


@dataclass(frozen=True)
class ParticipantRow:
    """What organisers see of a participant: how they go on, and nothing that they said."""

    id: str
    language: str
    joined_at: datetime
    last_at: datetime
    phase: Phase
    n_votes: int
    fallbacks: int
    excluded: bool
    deleted_at: datetime | None


@dataclass(frozen=True, repr=False)
class Joined:
    """A participant and the token by which they come back, which nobody can find out later."""

    participant: Participant
    token: str

    def __repr__(self) -> str:
        return f"Joined({self.participant.id})"


class People:
    """The participants of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    encoder : Encoder, optional
        What finds cards that may be the same; hashed words by default.
    """

    def __init__(self, database: Database, clock: Clock, encoder: Encoder | None = None) -> None:
        self._database, self._clock, self._encoder = database, clock, encoder

    def join(self, token: str, *, language: str, key: str) -> Joined:
        """Join a study by a link for participants.

        Parameters
        ----------
        token : str
            Of the link.
        language : str
        key : str
            Of the form: sent again, it is the same participant, with a new token in the place of the old one.

        Raises
        ------
        AccessError
            The link is not for participants, not live, or used up.
        UsageError
            The study is not open, is full, or is not there in that language; or the key is empty or too long.
        """
        link = Links(self._database, self._clock).open(token)
        if link.role != "participant" or link.study_id is None:
            raise closed_link()
        if not 1 <= len(key) <= 100:
            raise UsageError("The key of the form has 1 to 100 characters.", fix="Send the form as it was shown.")
        people, own_token = tables.participants.c, new_token()
        with study_transaction(self._database, link.study_id, self._clock()) as study:
            known = study.connection.scalar(select(people.id).where(people.link_id == link.id, people.join_key == key))
            if known is None:
                _check_room(study.connection, load_study(study.connection, link.study_id), language)
                take_use(study.connection, link)
                known = new_id()
                study.connection.execute(
                    insert(tables.participants).values(
                        id=known,
                        study_id=link.study_id,
                        link_id=link.id,
                        join_key=key,
                        token_digest=token_digest(own_token),
                        language=language,
                        joined_at=study.at,
                        last_at=study.at,
                        phase="started",
                        scopes="[]",
                        fallbacks=0,
                        excluded=False,
                    )
                )
                study.log(known, "joined", link.id)
            else:
                _set_token(study.connection, known, own_token)
        return Joined(self.get(known), own_token)

    def by_token(self, token: str) -> Participant:
        """The participant of a token.

        Raises
        ------
        AccessError
            There is none.
        """
        return self._one(tables.participants.c.token_digest == token_digest(token), closed_link())

    def by_link(self, link_id: str) -> tuple[Participant, ...]:
        """Those who joined by a link, in order."""
        people = tables.participants.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(tables.participants).where(people.link_id == link_id).order_by(people.joined_at, people.id)
            )
            return tuple(_participant(row) for row in rows)

    def get(self, participant_id: str) -> Participant:
        """A participant.

        Raises
        ------
        NotFoundError
            There is none of this id.
        """
        missing = NotFoundError("There is no such participant.", fix="Check the id.")
        return self._one(tables.participants.c.id == participant_id, missing)

    def renew_token(self, participant_id: str) -> str:
        """A new token in the place of the old one, which opens nothing any more."""
        person, token = self.get(participant_id), new_token()
        with study_transaction(self._database, person.study_id, self._clock()) as study:
            _set_token(study.connection, participant_id, token)
        return token

    def of_study(self, study_id: str) -> tuple[ParticipantRow, ...]:
        """Everybody who joined a study, in order, for its organisers."""
        people, vote = tables.participants.c, tables.votes.c
        names = [name for name in ParticipantRow.__dataclass_fields__ if name != "n_votes"]
        with self._database.read() as connection:
            counts = connection.execute(
                select(vote.participant_id, func.count()).where(vote.study_id == study_id).group_by(vote.participant_id)
            )
            cast: dict[str | None, int] = {name: n for name, n in counts}
            rows = connection.execute(
                select(*(people[name] for name in names))
                .where(people.study_id == study_id)
                .order_by(people.joined_at, people.id)
            )
            return tuple(ParticipantRow(**row._asdict(), n_votes=cast.get(row.id, 0)) for row in rows)

    def interview(self, participant_id: str, *, interviewer: Interviewer | None = None) -> Interview:
        """The interview of a participant, begun where it was not; an object for one request or thread.

        Parameters
        ----------
        participant_id : str
        interviewer : Interviewer, optional
            The scripted one by default.

        Raises
        ------
        NotFoundError
            There is no such participant.
        """
        person = self.get(participant_id)
        store = DatabaseStore(self._database, person.study_id, person.id)
        pool = DatabasePool(self._database, person.study_id, person.id, person.language, encoder=self._encoder)
        past = tables.events.c
        with self._database.read() as connection:
            begun = connection.scalar(select(past.payload).where(past.participant_id == participant_id, past.seq == 0))
            if begun is not None:
                started = json.loads(begun)
                protocol = load_protocol(connection, started["protocol_digest"])
                case = load_case(connection, started["case_digest"])
            else:
                study = load_study(connection, person.study_id)
                protocol, case = study.protocol, study.case
        if begun is None:
            try:
                return Interview.begin(
                    store,
                    protocol,
                    case,
                    language=person.language,
                    participant=person.id,
                    interviewer=interviewer,
                    pool=pool,
                    clock=self._clock,
                )
            except ConflictError:
                # Another request has begun it, perhaps with content that changed in between.
                return self.interview(participant_id, interviewer=interviewer)
        return Interview(store, protocol, case, interviewer=interviewer, pool=pool, clock=self._clock)

    def may_see_graph(self, participant_id: str) -> bool:
        """Whether a participant may see the moral graph: where the study shows it, when their votes are final."""
        person = self.get(participant_id)
        with self._database.read() as connection:
            shown = load_study(connection, person.study_id).show_graph
        return shown and person.phase == "done" and not person.excluded

    def delete(self, participant_id: str, *, by: str) -> None:
        """Delete what a participant said and who they were; see `pluralism.elicitation.web.erasure`.

        Parameters
        ----------
        participant_id : str
        by : str
            The participant's own id, or that of an organiser's link.

        Raises
        ------
        NotFoundError
            There is no such participant.
        """
        person = self.get(participant_id)
        with study_transaction(self._database, person.study_id, self._clock()) as study:
            deleted = select(tables.participants.c.deleted_at).where(tables.participants.c.id == participant_id)
            if study.connection.scalar(deleted) is None:
                erase_participant(study, participant_id, by=by)
        forget_deleted(self._database)

    def transcript(self, participant_id: str, *, by: str) -> InterviewState:
        """What a participant said, for an organiser; that somebody looked is written to the log.

        Raises
        ------
        AccessError
            The participant does not consent to the scope "research".
        NotFoundError
            There is no such participant.
        """
        person = self.get(participant_id)
        with study_transaction(self._database, person.study_id, self._clock()) as study:
            scopes = select(tables.participants.c.scopes).where(tables.participants.c.id == participant_id)
            if RESEARCH not in json.loads(study.connection.scalar(scopes) or "[]"):
                raise AccessError(
                    "The participant does not allow organisers to read the interview.",
                    fix="Only what is consented to may be read: their card and their votes.",
                )
            study.log(by, "transcript read", participant_id)
            return fold(events_of(study.connection, participant_id))

    def survey(self, study_id: str) -> pa.Table:
        """Answers of the exit survey: `question`, `value` (of scales), `text`; in an order that tells no persons."""
        past, people = tables.events.c, tables.participants.c
        with self._database.read() as connection:
            payloads = connection.scalars(
                select(past.payload)
                .join_from(tables.events, tables.participants, past.participant_id == people.id)
                .where(people.study_id == study_id, past.kind == "survey_answered", people.excluded.is_(False))
            ).all()
        answers = [
            (question, answer)
            for payload in payloads
            for question, answer in SurveyAnswered(**json.loads(payload)).answers.items()
        ]
        answers.sort(key=lambda one: (one[0], isinstance(one[1], str), one[1]))
        return pa.table(
            {
                "question": pa.array([name for name, _ in answers], pa.string()),
                "value": pa.array([None if isinstance(one, str) else one for _, one in answers], pa.int64()),
                "text": pa.array([one if isinstance(one, str) else None for _, one in answers], pa.string()),
            }
        )

    def _one(self, where: Any, missing: Exception) -> Participant:
        with self._database.read() as connection:
            row = connection.execute(select(tables.participants).where(where)).one_or_none()
        if row is None:
            raise missing
        return _participant(row)


def _check_room(connection: Connection, study: Study, language: str) -> None:
    people = tables.participants.c
    if study.status != "open":
        raise UsageError("The study is not open.", fix="Come back when the organisers have opened it.")
    if language not in study.languages:
        raise UsageError(f"The study is not there in {language!r}.", fix=f"It is in {', '.join(study.languages)}.")
    joined = connection.scalar(select(func.count()).where(people.study_id == study.id, people.deleted_at.is_(None)))
    if study.max_participants is not None and (joined or 0) >= study.max_participants:
        raise UsageError("As many people as the study has room for have joined.", fix="Ask the organisers.")


def _set_token(connection: Connection, participant_id: str, token: str) -> None:
    people = tables.participants.c
    connection.execute(
        update(tables.participants).where(people.id == participant_id).values(token_digest=token_digest(token))
    )


def _participant(row: Row[Any]) -> Participant:
    fields = {name: getattr(row, name) for name in Participant.__dataclass_fields__}
    return Participant(**{**fields, "scopes": tuple(json.loads(row.scopes))})
