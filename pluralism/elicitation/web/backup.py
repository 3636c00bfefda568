"""Copies of a database: made while it is in use, and put into an empty one of either kind."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from pluralism.elicitation.web import schema
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.tables import METADATA
from pluralism.errors import UsageError
from pluralism.files.atomic import atomic_path

__all__ = ["backup", "restore"]

_ROWS = 1000


def backup(database: Database, path: str | os.PathLike[str]) -> Path:
    """Copy a database, as it is at one moment, into a new SQLite file.

    What is deleted later stays in the copy: throw old copies away.

    Parameters
    ----------
    database : Database
        SQLite or PostgreSQL; others may go on writing to it.
    path : path-like

    Raises
    ------
    UsageError
        There is something at the path.
    StorageError
        It cannot be written.
    """
    place = Path(path)
    if place.exists():
        raise UsageError("There is a file already.", where=str(place), fix="Name a new one.")
    with atomic_path(place) as temporary:
        if database.is_sqlite:
            database.copy_into(temporary)
        else:
            with closing(Database(temporary)) as copy, database.read() as source:
                schema.upgrade(copy)
                with copy.write() as target:
                    _copy_rows(source, target)
    return place


def restore(path: str | os.PathLike[str], database: Database) -> None:
    """Put a copy into an empty database, and bring it up to date.

    Parameters
    ----------
    path : path-like
        What `backup` made.
    database : Database
        SQLite or PostgreSQL.

    Raises
    ------
    UsageError
        The database is not empty, or the copy is of a newer version.
    """
    if not Path(path).exists():
        raise UsageError("There is no such file.", where=str(path), fix="Check the path.")
    with tempfile.TemporaryDirectory() as folder:
        # A copy of the copy: an old one is brought up to date first.
        given = Path(folder) / "copy.db"
        shutil.copyfile(path, given)
        with closing(Database(given)) as copy:
            schema.upgrade(copy)
            schema.upgrade(database)
            with copy.read() as source, database.write() as target:
                if any(target.scalar(select(func.count()).select_from(table)) for table in METADATA.sorted_tables):
                    raise UsageError("The database is not empty.", where=repr(database), fix="Name an empty one.")
                _copy_rows(source, target)


def _copy_rows(source: Connection, target: Connection) -> None:
    for table in METADATA.sorted_tables:
        rows = source.execution_options(yield_per=_ROWS).execute(select(table))
        for part in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in part])
