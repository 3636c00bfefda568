"""What an event of an interview adds to the tables: its own row, and the card, the stories, the vote or the merge."""

from __future__ import annotations

import json
import secrets
from typing import Any

from sqlalchemy import func, insert, select, update

from pluralism.elicitation.hash_chain import SALT_BYTES
from pluralism.elicitation.interview.events import (
    BallotDrawn,
    BallotItem,
    CardConfirmed,
    CardText,
    Consented,
    DuplicateJudged,
    Event,
    FellBack,
    Voted,
)
from pluralism.elicitation.interview.state import InterviewState
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.event_rows import event_digest, payload_of
from pluralism.elicitation.web.study_transaction import StudyTransaction, new_id
from pluralism.elicitation.web.text_digests import card_digest, story_digest

__all__ = ["add_card", "add_merge", "add_story", "record"]


def record(study: StudyTransaction, participant_id: str, event: Event, state: InterviewState) -> None:
    """Add an event to an interview.

    Parameters
    ----------
    study : StudyTransaction
    participant_id : str
    event : Event
        The next one.
    state : InterviewState
        What it leads to.
    """
    body = event.body
    known: dict[str, str] = {}
    stories = [_story(study, item, known) for item in body.items] if isinstance(body, BallotDrawn) else []
    row = {
        "participant_id": participant_id,
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "key": event.key,
        "payload": payload_of(event, stories),
        "salt": secrets.token_bytes(SALT_BYTES),
    }
    study.connection.execute(insert(tables.events).values(**row))
    logged: dict[str, Any] = {"seq": event.seq, "digest": event_digest(row).hex()}
    if known:
        logged["stories"] = known
    if isinstance(body, CardConfirmed) and state.card is not None:
        logged["cards"] = dict([add_card(study, state.card, state.begun.language, participant_id=participant_id)])
    if isinstance(body, DuplicateJudged) and body.verdict == "same":
        add_merge(study, "card", _own_card(study, participant_id), body.card_id, participant_id)
    if isinstance(body, Voted):
        _vote(study, participant_id, event, body, state)
    _update_participant(study, participant_id, event, state)
    if isinstance(body, BallotDrawn) or state.stage == "done":
        study.changed()
    study.log(participant_id, event.kind, None, logged)


def add_card(
    study: StudyTransaction,
    card: CardText,
    language: str,
    *,
    participant_id: str | None = None,
    content_id: str | None = None,
) -> tuple[str, str]:
    """Add a card; its id, which is random (one made of the content would tell it after a deletion), and its digest."""
    name, document = new_id(), json.dumps(card.model_dump(mode="json", exclude={"context"}))
    study.connection.execute(
        insert(tables.cards).values(
            id=name,
            study_id=study.study_id,
            position=study.position,
            participant_id=participant_id,
            content_id=content_id,
            language=language,
            context=card.context,
            document=document,
            at=study.at,
            hidden=False,
        )
    )
    study.changed()
    return name, card_digest(name, document, card.context)


def add_story(
    study: StudyTransaction,
    source: str,
    wiser: str,
    context: str,
    story: str | None,
    model: str,
    *,
    from_ballot: bool,
) -> tuple[str, str]:
    """Add a story about two cards; its id and its digest. None stands for a story that may not be kept any more."""
    name, salt = new_id(), secrets.token_bytes(SALT_BYTES)
    study.connection.execute(
        insert(tables.hypotheses).values(
            id=name,
            study_id=study.study_id,
            position=study.position,
            from_ballot=from_ballot,
            source_id=source,
            wiser_id=wiser,
            context=context,
            story=story,
            salt=None if story is None else salt,
            model=model,
            active=story is not None,
        )
    )
    return name, story_digest(name, source, wiser, context, story or "", salt)


def add_merge(study: StudyTransaction, kind: str, source: str, into: str, by: str) -> int:
    """Add a merge; its number."""
    merge = tables.merges.c
    number = study.connection.scalar(select(func.count()).where(merge.study_id == study.study_id, merge.kind == kind))
    study.connection.execute(
        insert(tables.merges).values(
            study_id=study.study_id, kind=kind, number=number, source=source, into=into, made_by=by, at=study.at
        )
    )
    study.changed()
    return int(number or 0)


def _story(study: StudyTransaction, item: BallotItem, added: dict[str, str]) -> str:
    """The id of the story of an item: that of the pool, or of a new one, which goes into `added` with its digest."""
    told = tables.hypotheses.c
    found = study.connection.scalar(
        select(told.id)
        .where(
            told.study_id == study.study_id,
            told.source_id == item.source_id,
            told.wiser_id == item.wiser_id,
            told.context == item.context,
            told.story == item.story,
        )
        .order_by(told.position)
        .limit(1)
    )
    if found is not None:
        return found
    # A card may have been deleted while the story about it was written.
    card = tables.cards.c
    pair = (card.id.in_((item.source_id, item.wiser_id)), card.document.is_(None))
    story = item.story if study.connection.scalar(select(card.id).where(*pair).limit(1)) is None else None
    name, digest = add_story(
        study, item.source_id, item.wiser_id, item.context, story, item.story_source.by, from_ballot=True
    )
    added[name] = digest
    return name


def _own_card(study: StudyTransaction, participant_id: str) -> str:
    card = tables.cards.c
    return study.connection.execute(select(card.id).where(card.participant_id == participant_id)).scalar_one()


def _vote(study: StudyTransaction, participant_id: str, event: Event, body: Voted, state: InterviewState) -> None:
    past = tables.events.c
    ballot = study.connection.execute(
        select(past.payload).where(past.participant_id == participant_id, past.kind == "ballot_drawn")
    ).scalar_one()
    item = (state.ballot or ())[body.item]
    row = {
        "participant_id": participant_id,
        "seq": event.seq,
        "source_id": item.source_id,
        "wiser_id": item.wiser_id,
        "context": item.context,
        "answer": body.answer,
        "at": event.at,
        "reason": item.reason,
        "hypothesis_id": json.loads(ballot)["items"][body.item]["story"]["id"],
    }
    study.add_vote(row, body.comment or None)
    study.changed()


def _update_participant(study: StudyTransaction, participant_id: str, event: Event, state: InterviewState) -> None:
    values: dict[str, object] = {"phase": state.phase, "last_at": event.at}
    if isinstance(event.body, Consented):
        values |= {"consent_version": event.body.version, "scopes": json.dumps(list(event.body.scopes))}
    if isinstance(event.body, FellBack):
        values["fallbacks"] = tables.participants.c.fallbacks + 1
    study.connection.execute(
        update(tables.participants).where(tables.participants.c.id == participant_id).values(**values)
    )
