"""A transaction on one study: whoever writes takes the study's row first, and adds to its chains."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from pluralism.elicitation.hash_chain import SALT_BYTES, chain_heads, entry_digest
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.tables import microseconds
from pluralism.errors import NotFoundError

__all__ = ["Clock", "StudyTransaction", "entry_content", "new_id", "now", "study_transaction", "vote_content"]

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def entry_content(
    number: int, at: datetime, actor: str | None, action: str, subject: str | None, details: str
) -> tuple[Any, ...]:
    """What the digest of an entry of the audit log covers."""
    return number, microseconds(at), actor, action, subject, details


def vote_content(row: Mapping[str, Any], comment: str | None) -> tuple[Any, ...]:
    """What the digest of a vote covers, in the order of `pluralism.elicitation.vote_log.SCHEMA`."""
    return (
        row["participant_id"],
        row["source_id"],
        row["wiser_id"],
        row["context"],
        row["answer"],
        microseconds(row["at"]),
        row["reason"],
        row["hypothesis_id"],
        comment,
    )


@dataclass
class StudyTransaction:
    """The connection, and the ends of the study's chains while they grow.

    Attributes
    ----------
    connection : sqlalchemy.Connection
    study_id : str
    at : datetime
        When it was begun.
    version, purges : int
        Of the study's graph: how often it changed, and how often so that a graph that is kept must not be shown.
    """

    connection: Connection
    study_id: str
    at: datetime
    version: int
    purges: int
    _n_entries: int
    _entries_head: bytes
    _n_votes: int
    _votes_head: bytes

    @property
    def position(self) -> int:
        """A number that grows with everything that is done in the study."""
        return self._n_entries

    def log(self, actor: str, action: str, subject: str | None = None, details: Mapping[str, Any] | None = None) -> int:
        """Add an entry to the audit log; its number."""
        number, salt = self._n_entries, secrets.token_bytes(SALT_BYTES)
        written = json.dumps(dict(details or {}), sort_keys=True)
        digest = entry_digest(entry_content(number, self.at, actor, action, subject, written), salt)
        self.connection.execute(
            insert(tables.audit).values(
                study_id=self.study_id,
                number=number,
                at=self.at,
                actor=actor,
                action=action,
                subject=subject,
                details=written,
                salt=salt,
                digest=digest,
            )
        )
        self._n_entries, self._entries_head = number + 1, _next_head(self._entries_head, digest)
        return number

    def add_vote(self, row: Mapping[str, Any], comment: str | None) -> None:
        """Add a vote to the chain of votes."""
        salt = secrets.token_bytes(SALT_BYTES)
        digest = entry_digest(vote_content(row, comment), salt)
        self.connection.execute(
            insert(tables.votes).values(study_id=self.study_id, number=self._n_votes, salt=salt, digest=digest, **row)
        )
        self._n_votes, self._votes_head = self._n_votes + 1, _next_head(self._votes_head, digest)

    def changed(self) -> None:
        """The moral graph is not what it was."""
        self.version += 1

    def purge(self) -> None:
        """The moral graph is not what it was, and none that is kept may be shown."""
        self.changed()
        self.purges += 1
        kept = tables.derived.c
        self.connection.execute(update(tables.derived).where(kept.study_id == self.study_id).values(document=None))

    def store(self) -> None:
        """Write the ends of the chains."""
        self.connection.execute(
            update(tables.studies)
            .where(tables.studies.c.id == self.study_id)
            .values(
                version=self.version,
                purges=self.purges,
                n_entries=self._n_entries,
                entries_head=self._entries_head,
                n_votes=self._n_votes,
                votes_head=self._votes_head,
            )
        )


@contextmanager
def study_transaction(database: Database, study_id: str, at: datetime) -> Iterator[StudyTransaction]:
    """A transaction that nobody else can write to the study in.

    Raises
    ------
    NotFoundError
        There is no such study.
    StorageError
        The database cannot be written.
    """
    columns = tables.studies.c
    with database.write(study_id) as connection:
        row = connection.execute(
            select(
                columns.version,
                columns.purges,
                columns.n_entries,
                columns.entries_head,
                columns.n_votes,
                columns.votes_head,
            )
            .where(columns.id == study_id)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no study {study_id!r}.", fix="Check its address.")
        transaction = StudyTransaction(connection, study_id, at, *row)
        yield transaction
        transaction.store()


def _next_head(head: bytes, digest: bytes) -> bytes:
    return next(chain_heads([digest], head))
