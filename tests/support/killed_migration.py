"""Migrates a database and is killed after N statements that change it: `python killed_migration.py ADDRESS N`."""

from __future__ import annotations

import os
import signal
import sys

from sqlalchemy import event

from pluralism.elicitation.web import schema
from pluralism.elicitation.web.database import Database


def main(address, statements):
    database, seen = Database(address), 0

    def count(connection, cursor, statement, parameters, context, executemany):
        nonlocal seen
        if statement.lstrip().upper().startswith(("CREATE", "DROP", "ALTER", "UPDATE ALEMBIC", "INSERT INTO ALEMBIC")):
            seen += 1
            if seen == statements:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "after_cursor_execute", count)
    schema.upgrade(database)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
