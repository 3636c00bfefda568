"""Events of interviews as rows: other people's cards and stories are named, not copied, so that they can be erased."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from pluralism.elicitation.hash_chain import entry_digest
from pluralism.elicitation.interview.events import CardText, DuplicatesProposed, Event
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.tables import microseconds

__all__ = ["ERASED", "ERASED_CARD", "event_digest", "events_of", "payload_of"]

ERASED = "—"
"""Stands where a text was deleted, or hidden by a moderator."""

ERASED_CARD = CardText(title=ERASED, description="", policies=(ERASED,))


def event_digest(row: Mapping[str, Any]) -> bytes:
    """The digest of a row of `events`."""
    content = (row["participant_id"], row["seq"], microseconds(row["at"]), row["kind"], row["key"], row["payload"])
    return entry_digest(content, row["salt"])


def payload_of(event: Event, stories: Sequence[str] = ()) -> str:
    """The content of an event in ASCII, which every database can hold.

    Parameters
    ----------
    event : Event
    stories : sequence of str
        Ids of the stories of a ballot, one for each item.
    """
    document = event.body.model_dump(mode="json")
    if isinstance(event.body, DuplicatesProposed):
        for proposal in document["proposals"]:
            proposal["card"] = None
    for item, story in zip(document.get("items", ()), stories, strict=True):
        item |= {"source": None, "wiser": None, "story": {"id": story}}
    return json.dumps(document)


def events_of(connection: Connection, participant_id: str) -> list[Event]:
    """The events of one interview, with the texts that they name."""
    columns = tables.events.c
    rows = connection.execute(
        select(columns.seq, columns.at, columns.key, columns.payload)
        .where(columns.participant_id == participant_id)
        .order_by(columns.seq)
    ).all()
    documents = [json.loads(row.payload) for row in rows]
    named = [part for document in documents for part in _parts(document)]
    if named:
        _fill(connection, participant_id, named)
    return [
        Event.from_json(json.dumps({"seq": row.seq, "at": row.at.isoformat(), "key": row.key, **document}))
        for row, document in zip(rows, documents, strict=True)
    ]


def _parts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*document.get("proposals", ()), *document.get("items", ())]


def _fill(connection: Connection, participant_id: str, parts: Sequence[dict[str, Any]]) -> None:
    ids = {part[name] for part in parts for name in ("card_id", "source_id", "wiser_id") if name in part}
    stories = {part["story"]["id"] for part in parts if "story" in part}
    card = tables.cards.c
    found = connection.execute(
        select(card.id, card.document, card.context, card.hidden, card.participant_id).where(card.id.in_(ids))
    )
    texts = {
        row.id: {**json.loads(row.document), "context": row.context}
        for row in found
        if row.document is not None and (not row.hidden or row.participant_id == participant_id)
    }
    erased = ERASED_CARD.model_dump(mode="json")
    story = tables.hypotheses.c
    told = {
        row.id: row.story
        for row in connection.execute(
            select(story.id, story.story, story.source_id, story.wiser_id).where(story.id.in_(stories))
        )
        if row.story is not None and {row.source_id, row.wiser_id} <= texts.keys()
    }
    for part in parts:
        if "card_id" in part:
            part["card"] = texts.get(part["card_id"], erased)
        else:
            part |= {"source": texts.get(part["source_id"], erased), "wiser": texts.get(part["wiser_id"], erased)}
            part["story"] = told.get(part["story"]["id"], ERASED)
