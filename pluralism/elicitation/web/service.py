"""Everything that a service of elicitation does, without pages: one object for each process."""

from __future__ import annotations

import os
import secrets

from sqlalchemy import or_, select

from pluralism.elicitation.web import schema, tables
from pluralism.elicitation.web.audit_log import AuditLog
from pluralism.elicitation.web.database import Database, insert_if_absent
from pluralism.elicitation.web.demographics import Demographics
from pluralism.elicitation.web.erasure import forget_deleted, unforgotten
from pluralism.elicitation.web.exports import Exports
from pluralism.elicitation.web.graphs import Graphs
from pluralism.elicitation.web.hypotheses import Hypotheses
from pluralism.elicitation.web.links import Links
from pluralism.elicitation.web.merges import Merges
from pluralism.elicitation.web.moderation import Moderation
from pluralism.elicitation.web.people import People
from pluralism.elicitation.web.settings import Settings
from pluralism.elicitation.web.studies import Studies
from pluralism.elicitation.web.study_transaction import Clock, now
from pluralism.embeddings import Encoder

__all__ = ["Service"]

_SECRET = "cookies"


class Service:
    """Studies, their people and what comes of them. Its methods may be called from any thread.

    Parameters
    ----------
    database : Database
        Of the newest schema; see `open`.
    clock : callable, optional
        Gives the time, with a time zone.
    graph_seconds : float
        How long a stale graph is shown.
    encoder : Encoder, optional
        What finds cards that may be the same; hashed words by default.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        graph_seconds: float = 30.0,
        encoder: Encoder | None = None,
    ) -> None:
        self.database = database
        self._clock = clock or now
        self.studies = Studies(database, self._clock)
        self.links = Links(database, self._clock)
        self.people = People(database, self._clock, encoder)
        self.demographics = Demographics(database, self._clock)
        self.hypotheses = Hypotheses(database, self._clock)
        self.graphs = Graphs(database, self._clock, graph_seconds)
        self.moderation = Moderation(database, self._clock, self.graphs)
        self.merges = Merges(database, self._clock, self.graphs)
        self.exports = Exports(database, self._clock, self.graphs)
        self.audit = AuditLog(database)

    @classmethod
    def open(
        cls,
        where: str | os.PathLike[str] | Settings,
        *,
        clock: Clock | None = None,
        encoder: Encoder | None = None,
    ) -> Service:
        """Open a database, which is made or brought up to date where that is needed.

        Parameters
        ----------
        where : str, path-like or Settings
            The path of an SQLite file, an address, or settings that have one.
        clock, encoder
            As for the class.

        Raises
        ------
        UsageError
            The address cannot be understood, or the database was made by a newer version.
        StorageError
            It cannot be opened.
        """
        settings = where if isinstance(where, Settings) else Settings(database=os.fspath(where))
        database = Database(settings.database, pool_size=settings.pool_size)
        try:
            schema.upgrade(database)
            if unforgotten(database):
                # A process was killed between a deletion and what follows it.
                forget_deleted(database)
        except BaseException:
            database.close()
            raise
        return cls(database, clock=clock, graph_seconds=settings.graph_seconds, encoder=encoder)

    def __repr__(self) -> str:
        return f"Service({self.database!r})"

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def ping(self) -> None:
        """Ask the database for an answer.

        Raises
        ------
        StorageError
            There is none.
        """
        self.database.ping()

    @property
    def secret(self) -> bytes:
        """32 random bytes of this database, for signing cookies."""
        kept = tables.service_values
        wanted = select(kept.c.value).where(kept.c.name == _SECRET)
        with self.database.read() as connection:
            found = connection.scalar(wanted)
        if found is None:
            with self.database.write() as connection:
                insert_if_absent(connection, kept, name=_SECRET, value=secrets.token_bytes(32))
                found = connection.execute(wanted).scalar_one()
        return bytes(found)

    def admin_link(self) -> str | None:
        """The token of a new administrator's link, where the database has none that is live; else None."""
        link, at = tables.links.c, self._clock()
        live = (link.role == "admin", link.revoked_at.is_(None), or_(link.expires_at.is_(None), link.expires_at > at))
        with self.database.read() as connection:
            if connection.execute(select(link.id).where(*live).limit(1)).one_or_none() is not None:
                return None
        return self.links.create(study_id=None, role="admin", by="service", label="first administrator").token
