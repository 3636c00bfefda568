"""The audit log of a study: two chains that show whether anything was changed, moved or left out since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from pluralism.elicitation import hash_chain
from pluralism.elicitation.hash_chain import START, Audit, chain_heads, entry_digest
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.erasure import DELETED
from pluralism.elicitation.web.event_rows import event_digest
from pluralism.elicitation.web.sealed_votes import sealed_graph
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import entry_content
from pluralism.elicitation.web.text_digests import card_digest, story_digest
from pluralism.errors import UsageError

__all__ = ["AuditLog", "Heads", "LogEntry", "StudyAudit"]


@dataclass(frozen=True)
class Heads:
    """The ends of both chains, to be published: whoever has them can check the log later.

    Attributes
    ----------
    votes, entries : str
        As hexadecimal digits.
    n_votes, n_entries : int
    """

    votes: str
    entries: str
    n_votes: int
    n_entries: int


@dataclass(frozen=True)
class LogEntry:
    """Something that somebody did.

    Attributes
    ----------
    number : int
    at : datetime
    actor : str or None
        A participant, the id of an organiser's link, or "service"; None where a deletion erased it.
    action : str
    subject : str or None
        What it was done to.
    details : mapping
    erased : bool
        Whether a deletion took away all but the digest.
    """

    number: int
    at: datetime
    actor: str | None
    action: str
    subject: str | None
    details: Mapping[str, Any]
    erased: bool


@dataclass(frozen=True)
class StudyAudit:
    """What a check of both chains found.

    Attributes
    ----------
    votes : pluralism.elicitation.hash_chain.Audit
    heads : Heads
        As they follow from the rows.
    n_erased : int
        Entries of deleted participants, of which only the digest is left.
    faults : tuple of str
        What is wrong with the entries, or with what they are about.
    """

    votes: Audit
    heads: Heads
    n_erased: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.votes.ok and not self.faults

    def to_dict(self) -> dict[str, Any]:
        """The findings by name."""
        return {
            "ok": self.ok,
            "votes": self.votes.to_dict(),
            "entries": self.heads.n_entries,
            "entries_head": self.heads.entries,
            "erased": self.n_erased,
            "faults": list(self.faults),
        }

    def to_frame(self) -> pa.Table:
        """One row a fault: `chain` and `fault`."""
        rows = [("votes", fault) for fault in self.votes.to_frame()["fault"].to_pylist()]
        rows += [("entries", fault) for fault in self.faults]
        return pa.table({"chain": [name for name, _ in rows], "fault": [fault for _, fault in rows]})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __repr__(self) -> str:
        said = "hold" if self.ok else "are broken"
        return f"StudyAudit(the chains {said}; {self.heads.n_votes:,} votes, {self.heads.n_entries:,} entries)"


class AuditLog:
    """The audit logs of a database.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self, study_id: str) -> Heads:
        """The ends of a study's chains.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        with self._database.read() as connection:
            load_study(connection, study_id)
            return _heads(connection, study_id)

    def entries(self, study_id: str, *, limit: int = 100, before: int | None = None) -> tuple[LogEntry, ...]:
        """Entries of the log, the newest first.

        Parameters
        ----------
        limit : int
        before : int, optional
            Only entries with a smaller number.
        """
        log = tables.audit.c
        older = [] if before is None else [log.number < before]
        with self._database.read() as connection:
            load_study(connection, study_id)
            rows = connection.execute(
                select(log.number, log.at, log.actor, log.action, log.subject, log.details)
                .where(log.study_id == study_id, *older)
                .order_by(log.number.desc())
                .limit(limit)
            )
            return tuple(
                LogEntry(*row[:5], details=json.loads(row.details or "{}"), erased=row.details is None) for row in rows
            )

    def verify(self, study_id: str, *, votes_head: str | None = None, entries_head: str | None = None) -> StudyAudit:
        """Check every entry, event and vote against its digest, and the chains against their ends.

        Parameters
        ----------
        votes_head, entries_head : str, optional
            Ends that were published earlier.

        Raises
        ------
        NotFoundError
            There is no such study.
        UsageError
            A head is not 64 hexadecimal digits.
        """
        with self._database.read() as connection:
            load_study(connection, study_id)
            stored = _heads(connection, study_id)
            votes = hash_chain.audit(sealed_graph(connection, study_id), head=votes_head)
            log = tables.audit.c
            rows = connection.execute(select(tables.audit).where(log.study_id == study_id).order_by(log.number)).all()
            faults = _faults_of_entries(rows)
            faults += _faults_of_events(connection, study_id, rows)
            faults += _faults_of_texts(connection, study_id, rows)
        heads = [START, *chain_heads(row.digest for row in rows)]
        found = Heads(votes.head, heads[-1].hex(), votes.n_votes + votes.n_erased, len(rows))
        if found != stored:
            faults.append("The chains do not end where the study says that they do.")
        if entries_head is not None and _head(entries_head) not in heads:
            faults.append("The log does not continue the one whose head was given.")
        return StudyAudit(votes, found, sum(row.salt is None for row in rows), tuple(faults))


def _heads(connection: Connection, study_id: str) -> Heads:
    study = tables.studies.c
    row = connection.execute(
        select(study.votes_head, study.entries_head, study.n_votes, study.n_entries).where(study.id == study_id)
    ).one()
    return Heads(row.votes_head.hex(), row.entries_head.hex(), row.n_votes, row.n_entries)


def _faults_of_entries(rows: Sequence[Any]) -> list[str]:
    faults = []
    for place, row in enumerate(rows):
        content = entry_content(row.number, row.at, row.actor, row.action, row.subject, row.details)
        if row.number != place:
            faults.append(f"Entry {place} is missing.")
            break
        if row.salt is None and (row.details is not None or row.actor is not None or row.subject is not None):
            faults.append(f"Entry {row.number} was written over what was deleted.")
        if row.salt is not None and entry_digest(content, row.salt) != row.digest:
            faults.append(f"The content of entry {row.number} is not that of its digest.")
    accounted = sum(json.loads(row.details)["entries"] for row in rows if row.action == DELETED and row.details)
    if sum(row.salt is None for row in rows) != accounted:
        faults.append("Other entries were erased than the deletions account for.")
    return faults


def _faults_of_events(connection: Connection, study_id: str, rows: Sequence[Any]) -> list[str]:
    """Compare the events that are there with what the log says about them."""
    said: dict[tuple[str, int], str] = {}
    for row in rows:
        details = json.loads(row.details or "{}")
        if "digest" in details:
            said[row.actor, details["seq"]] = details["digest"]
    past, people = tables.events.c, tables.participants.c
    found = connection.execute(
        select(tables.events)
        .join_from(tables.events, tables.participants, past.participant_id == people.id)
        .where(people.study_id == study_id, people.deleted_at.is_(None))
    )
    there = {(row.participant_id, row.seq): event_digest(row._asdict()).hex() for row in found}
    faults = [
        f"Event {seq} of participant {name} is not the one that was logged."
        for (name, seq), digest in there.items()
        if said.get((name, seq)) != digest
    ]
    faults += [f"Event {seq} of participant {name} is gone." for name, seq in said.keys() - there.keys()]
    return sorted(faults)


def _faults_of_texts(connection: Connection, study_id: str, rows: Sequence[Any]) -> list[str]:
    """Compare cards and stories with what the log says about them; of deleted ones it says nothing."""
    cards: dict[str, str] = {}
    stories: dict[str, str] = {}
    for row in rows:
        details = json.loads(row.details or "{}")
        cards |= details.get("cards", {})
        stories |= details.get("stories", {})
    card, told = tables.cards.c, tables.hypotheses.c
    shown = connection.execute(
        select(card.id, card.document, card.context).where(card.study_id == study_id, card.document.is_not(None))
    )
    faults = [
        f"The text of card {name} is not the one that was logged."
        for name, document, context in shown
        if card_digest(name, document, context) != cards.get(name)
    ]
    # The entry about a story goes with the participant for whom it was written; the story may stay for others.
    written = connection.execute(
        select(told.id, told.source_id, told.wiser_id, told.context, told.story, told.salt).where(
            told.study_id == study_id, told.story.is_not(None)
        )
    )
    faults += [
        f"Story {row.id} is not the one that was logged."
        for row in written
        if row.id in stories and (row.salt is None or story_digest(*row) != stories[row.id])
    ]
    return sorted(faults)


def _head(head: str) -> bytes:
    try:
        found = bytes.fromhex(head)
    except ValueError:
        found = b""
    if len(found) != len(START):
        raise UsageError(f"{head!r} is no head of a log.", fix="A head is 64 hexadecimal digits.")
    return found
