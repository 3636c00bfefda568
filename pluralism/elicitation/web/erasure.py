"""Deleting what a participant said and who they were, wherever it is; digests stay, so that the chains still hold."""

from __future__ import annotations

import json
import secrets

from sqlalchemy import delete, func, insert, null, or_, select, update

from pluralism.elicitation.hash_chain import SALT_BYTES
from pluralism.elicitation.interview.events import Event, Started, Withdrawn
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database, insert_if_absent
from pluralism.elicitation.web.event_rows import payload_of
from pluralism.elicitation.web.study_transaction import StudyTransaction

__all__ = ["DELETED", "erase_participant", "forget_deleted", "unforgotten"]

DELETED = "deleted"
"""The action of the entry that stands for somebody who was deleted, with the numbers of rows that were emptied."""

_UNFORGOTTEN = "unforgotten"


def erase_participant(study: StudyTransaction, participant_id: str, *, by: str) -> None:
    """Delete a participant's words, votes, card and demographics, and what was made of them.

    Left are: a row that says that somebody was deleted, random ids, and digests without their salts, by which nobody
    can try whether a text that they guess was there. Votes of others on the card stay, without its text; so do stories
    about other people's cards, as a story is written from two cards alone.

    Parameters
    ----------
    study : StudyTransaction
    participant_id : str
    by : str
        Who wants it: the participant, or the id of an organiser's link. Why is not kept, as it may tell of whom.
    """
    connection = study.connection
    events, cards, stories = tables.events.c, tables.cards.c, tables.hypotheses.c
    begun = connection.execute(
        select(events.at, events.payload).where(events.participant_id == participant_id, events.seq == 0)
    ).one_or_none()
    n_events = connection.scalar(select(func.count()).where(events.participant_id == participant_id))
    own = list(connection.scalars(select(cards.id).where(cards.participant_id == participant_id)))

    connection.execute(delete(tables.events).where(events.participant_id == participant_id))
    if begun is not None:
        started = Started(**{**json.loads(begun.payload), "participant": ""})
        for event in (Event(0, begun.at, started), Event(1, study.at, Withdrawn())):
            connection.execute(
                insert(tables.events).values(
                    participant_id=participant_id,
                    seq=event.seq,
                    at=event.at,
                    kind=event.kind,
                    payload=payload_of(event),
                    salt=secrets.token_bytes(SALT_BYTES),
                )
            )
    connection.execute(update(tables.cards).where(cards.id.in_(own)).values(document=None, content_id=None))
    connection.execute(
        update(tables.hypotheses)
        .where(or_(stories.source_id.in_(own), stories.wiser_id.in_(own)))
        .values(story=None, salt=None, active=False)
    )
    connection.execute(delete(tables.demographics).where(tables.demographics.c.participant_id == participant_id))
    n_votes = _empty_votes(study, participant_id)
    connection.execute(update(tables.merges).where(tables.merges.c.made_by == participant_id).values(made_by=None))
    n_entries = _blank_log(study, [participant_id, *own])
    joined = select(tables.participants.c.joined_at).where(tables.participants.c.id == participant_id)
    made = tables.derived.c
    connection.execute(
        update(tables.derived)
        .where(made.study_id == study.study_id, made.made_at >= joined.scalar_subquery())
        .values(outdated_by_deletion=True)
    )
    # What a link for one person is called may be that person's name.
    link, came_by = (
        tables.links.c,
        select(tables.participants.c.link_id).where(tables.participants.c.id == participant_id),
    )
    connection.execute(
        update(tables.links).where(link.id == came_by.scalar_subquery(), link.max_uses == 1).values(label="")
    )
    connection.execute(
        update(tables.participants)
        .where(tables.participants.c.id == participant_id)
        .values(
            phase="withdrawn",
            link_id=None,
            deleted_at=study.at,
            last_at=study.at,
            join_key=None,
            consent_version=None,
            scopes="[]",
            fallbacks=0,
        )
    )
    counts = {"votes": n_votes, "events": n_events, "entries": n_entries}
    study.log("participant" if by == participant_id else by, DELETED, None, counts)
    study.purge()
    insert_if_absent(connection, tables.service_values, name=_UNFORGOTTEN, value=b"")


def forget_deleted(database: Database) -> None:
    """Take what was deleted out of the files of the database as well, after the transaction that deleted it."""
    if database.forget_deleted():
        with database.write() as connection:
            connection.execute(delete(tables.service_values).where(tables.service_values.c.name == _UNFORGOTTEN))


def unforgotten(database: Database) -> bool:
    """Whether the files of the database may still hold what was deleted."""
    names = tables.service_values.c.name
    with database.read() as connection:
        return connection.scalar(select(names).where(names == _UNFORGOTTEN)) is not None


def _empty_votes(study: StudyTransaction, participant_id: str) -> int:
    kept = {"study_id", "number", "digest"}
    emptied = {column.name: null() for column in tables.votes.c if column.name not in kept}
    mine = tables.votes.c.participant_id == participant_id
    return study.connection.execute(update(tables.votes).where(mine).values(**emptied)).rowcount


def _blank_log(study: StudyTransaction, ids: list[str]) -> int:
    log = tables.audit.c
    return study.connection.execute(
        update(tables.audit)
        .where(log.study_id == study.study_id, or_(log.actor.in_(ids), log.subject.in_(ids)))
        .values(actor=None, subject=None, details=None, salt=None)
    ).rowcount
