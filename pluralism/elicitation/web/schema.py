"""The schema of a database: brought up to date at start-up, in one transaction that a kill leaves undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.tables import METADATA
from pluralism.errors import UsageError

__all__ = ["downgrade", "revision_of", "upgrade"]

# Any number will do, as long as all workers lock the same one.
_LOCK = 7_261_951


def revision_of(database: Database) -> str | None:
    """The revision that a database is at; None where it is empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring a database to a revision, by default the newest. Several workers may do so at once.

    Raises
    ------
    UsageError
        The database was made by a newer version of this package.
    """
    _migrate(database, revision, down=False)


def downgrade(database: Database, revision: str) -> None:
    """Bring a database back to an earlier revision ("base" for none); what that one has no place for is lost."""
    _migrate(database, revision, down=True)


def _migrate(database: Database, revision: str, *, down: bool) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {step.revision for step in script.walk_revisions()}

    def steps(current: Any, context: Any) -> Any:
        return script._downgrade_revs(revision, current) if down else script._upgrade_revs(revision, current)

    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise UsageError(
                "The database was made by a newer version of pluralism.",
                where=repr(database),
                fix="Upgrade pluralism, or use a backup from before.",
            )
        with EnvironmentContext(config, script, fn=steps, destination_rev=revision) as environment:
            environment.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
            environment.run_migrations()
