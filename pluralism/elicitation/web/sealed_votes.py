"""All votes of a study as a sealed graph: what `pluralism graph verify` checks, deleted rows included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from pluralism.elicitation.moral_graph import MoralGraph, Tombstone
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import SCHEMA, VoteLog
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database_pool import card_of
from pluralism.elicitation.web.erasure import DELETED
from pluralism.elicitation.web.event_rows import ERASED

__all__ = ["ERASED_VALUE", "sealed_graph", "tombstones_of", "vote_rows", "vote_table"]

ERASED_VALUE = ValuesCard(ERASED, "", [ERASED])
"""The card that stands for one without its text."""


def sealed_graph(connection: Connection, study_id: str) -> MoralGraph:
    """Every vote with its salt and digest, on all cards; a card without its text stands for one that was deleted.

    Votes name stories by the random ids of the database, which say nothing about a story that was deleted.
    """
    card = tables.cards.c
    cards = connection.execute(
        select(card.id, card.document, card.context).where(card.study_id == study_id).order_by(card.position)
    )
    return MoralGraph(
        {row.id: ERASED_VALUE if row.document is None else card_of(row.document, row.context) for row in cards},
        vote_table(vote_rows(connection, study_id)),
        tombstones=tombstones_of(connection, study_id),
    )


def vote_rows(connection: Connection, study_id: str) -> list[dict[str, Any]]:
    """The rows of the votes in order, each with the comment from its event."""
    vote, past = tables.votes, tables.events
    same = (vote.c.participant_id == past.c.participant_id) & (vote.c.seq == past.c.seq)
    rows = connection.execute(
        select(vote, past.c.payload)
        .outerjoin_from(vote, past, same)
        .where(vote.c.study_id == study_id)
        .order_by(vote.c.number)
    )
    found = []
    for row in rows:
        fields = row._asdict()
        payload = fields.pop("payload")
        fields["comment"] = None if payload is None else json.loads(payload)["comment"] or None
        found.append(fields)
    return found


def vote_table(rows: Sequence[dict[str, Any]]) -> VoteLog:
    """The log of rows of votes, sealed."""
    names = {"participant": "participant_id", "source": "source_id", "wiser": "wiser_id", "time": "at"}
    names |= {"story": "hypothesis_id"}
    columns = {}
    for field in SCHEMA:
        values = [row[names.get(field.name, field.name)] for row in rows]
        if field.name == "time":
            values = [None if value is None else value.replace(tzinfo=None) for value in values]
        columns[field.name] = pa.array(values, field.type)
    return VoteLog(pa.table(columns, SCHEMA))


def tombstones_of(connection: Connection, study_id: str) -> tuple[Tombstone, ...]:
    """One for each participant who was deleted."""
    log = tables.audit.c
    rows = connection.execute(
        select(log.at, log.details).where(log.study_id == study_id, log.action == DELETED).order_by(log.number)
    )
    return tuple(Tombstone(json.loads(row.details)["votes"], row.at.isoformat()) for row in rows)
