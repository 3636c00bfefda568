"""The database of the service: SQLite in one file, or PostgreSQL; what `write` has left is durable."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import DataError as StatementDataError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pluralism.elicitation.web.keyed_locks import KeyedLocks
from pluralism.errors import DataError, StorageError, UsageError
from pluralism.files.atomic import storage_error

__all__ = ["Database", "database_url", "insert_if_absent"]

WAIT_SECONDS = 30
"""How long a write waits for others."""

_PATIENCE = 2.0
_LOG = logging.getLogger(__name__)


class Database:
    """Where studies are kept.

    SQLite runs with a write-ahead log that is synced at each commit, foreign keys, overwriting of what is deleted, and
    transactions that take the right to write when they begin: one that read first and asked for it later would fail
    where another wrote meanwhile. On PostgreSQL, writers lock the row of their study first.

    Parameters
    ----------
    address : str
        The path of an SQLite file, or an address such as ``sqlite:///study.db`` or ``postgresql://user@host/name``.
    pool_size : int
        Connections kept open.

    Raises
    ------
    UsageError
        The address cannot be understood.
    StorageError
        The file cannot be made, or the server does not answer.
    """

    def __init__(self, address: str | os.PathLike[str], *, pool_size: int = 16) -> None:
        self.url = database_url(address)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _make_private(Path(str(self.url.database)))
        self.engine: Engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=WAIT_SECONDS,
            pool_pre_ping=not self.is_sqlite,
            # What participants say must not be in the messages of errors.
            hide_parameters=True,
            connect_args={"timeout": WAIT_SECONDS} if self.is_sqlite else {"connect_timeout": WAIT_SECONDS},
        )
        self._turns, self._forgetting = KeyedLocks(), False
        event.listen(self.engine, "connect", self._on_connect)
        if self.is_sqlite:
            event.listen(self.engine, "begin", _begin_sqlite)
        try:
            self.ping()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    def ping(self) -> None:
        """Ask the database for an answer.

        Raises
        ------
        StorageError
            There is none.
        """
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection on which everything is read at one moment.

        Raises
        ------
        StorageError
            The database does not answer.
        """
        options: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._named_errors("read"), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[Connection]:
        """A transaction: durable when this ends, and not there at all where it raises.

        Parameters
        ----------
        study_id : str, optional
            The study whose row the transaction will lock first.

        Raises
        ------
        StorageError
            The database cannot be written, or others wrote for too long.
        """
        # The threads of a process queue here: SQLite's own waiting is by trying again, which is not fair, and on
        # PostgreSQL each that waited for the row would keep a connection.
        turn = self._turns.of(None if self.is_sqlite else study_id or object())
        with turn, self._named_errors("written"), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection
        if self._forgetting:
            self._forget(0.0)

    @contextmanager
    def _named_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (StatementDataError, UnicodeEncodeError):
            # Their messages repeat what was sent.
            raise UsageError(
                "A text has characters that cannot be kept.", fix="Leave out NUL and half characters."
            ) from None
        except (SQLAlchemyError, sqlite3.Error) as error:
            # Errors of sqlite3 itself come from setting up a connection, and from what runs outside transactions.
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            named = (OperationalError, DatabaseError, InterfaceError, PoolTimeout)
            if not lost and type(error) not in named and not isinstance(error, sqlite3.Error):
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StorageError(
                f"The database cannot be {what}: {str(cause).strip().splitlines()[0]}.",
                where=self.url.render_as_string(hide_password=True),
                fix="Is the disk full, the file writable, the server there? Try again: nothing was half done.",
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _on_connect(self, connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        if self.is_sqlite:
            # No transactions of the driver's own: `_begin_sqlite` begins them.
            connection.isolation_level = None
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
                cursor.execute(f"PRAGMA {pragma}")
        else:
            cursor.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
            cursor.execute("SHOW synchronous_commit")
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET synchronous_commit = on")
            connection.commit()
        cursor.close()

    def forget_deleted(self) -> bool:
        """Take what was deleted out of the files as well: out of the write-ahead log, or the dead rows of PostgreSQL.

        This waits for whoever is reading; where that takes too long, a later write does it. What a server archives
        (backups, a log that is shipped) is its administrator's.

        Returns
        -------
        bool
            Whether it is done.
        """
        self._forgetting = True
        self._forget(_PATIENCE)
        return not self._forgetting

    def _forget(self, seconds: float) -> None:
        milliseconds = max(1, int(1000 * seconds))
        forget = self._empty_log if self.is_sqlite else self._rewrite_tables
        self._forgetting = False
        try:
            with self._named_errors("written"):
                if not forget(milliseconds):
                    self._forgetting = True
        except StorageError as error:
            # The deletion itself is done.
            self._forgetting = True
            _LOG.warning("Bytes of deleted rows are still in the files of the database: %s", error.what)

    def _empty_log(self, milliseconds: int) -> bool:
        with closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
                busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {1000 * WAIT_SECONDS}")
        return not busy

    def _rewrite_tables(self, milliseconds: int) -> bool:
        with self.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"SET lock_timeout = '{milliseconds}ms'")
            try:
                # Nothing less than a rewritten table is without the bytes of its dead rows.
                tables = "events, cards, hypotheses, demographics, derived, links, votes, audit"
                connection.exec_driver_sql(f"VACUUM FULL {tables}")
            finally:
                # So that nobody else gets a connection that gives up so soon.
                connection.invalidate()
        return True

    def copy_into(self, path: Path) -> None:
        """Copy an SQLite database, as it is at one moment, into a file that is empty or not there.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        _make_private(path)
        with self._named_errors("copied"), closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(path),))


def insert_if_absent(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless there is one of its primary key or of another unique key; whether it was inserted."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return connection.execute(insert(table).values(**values).on_conflict_do_nothing()).rowcount == 1


def database_url(address: str | os.PathLike[str]) -> URL:
    """The address as SQLAlchemy takes it, with the driver that this package uses.

    Raises
    ------
    UsageError
        It is of another kind of database.
    """
    written = os.fspath(address)
    if "://" not in written:
        return URL.create("sqlite", database=written)
    try:
        url = make_url(written)
    except ArgumentError:
        raise UsageError("The address of the database cannot be read.", fix=_ADDRESSES) from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or url.database in (None, "", ":memory:"):
        raise UsageError(f"Studies cannot be kept in {url.render_as_string(hide_password=True)!r}.", fix=_ADDRESSES)
    return url


_ADDRESSES = "Use the path of an SQLite file, or postgresql://user@host/name."


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_private(path: Path) -> None:
    """Make the file for its owner's eyes alone; SQLite gives its write-ahead log the same rights."""
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with path.open("rb") as file:
            begins = file.read(16)
    except OSError as cause:
        raise storage_error("open", path, cause) from cause
    if begins not in (b"", b"SQLite format 3\0"):
        raise DataError("The file is no SQLite database.", where=str(path), fix="Name another file.")
