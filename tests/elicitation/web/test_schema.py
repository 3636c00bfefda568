"""The history of the tables: there and back, by several at once, and killed midway."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from web_studies import take_part

from pluralism.elicitation.web import schema, tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.service import Service
from pluralism.errors import UsageError

OLD, NEWEST = "0001", "0002"
KILLED = Path(__file__).parents[2] / "support" / "killed_migration.py"


def names(database):
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def test_the_history_ends_in_the_tables_that_the_code_knows(either_address: str) -> None:
    with closing(Database(either_address)) as database:
        assert schema.revision_of(database) is None
        schema.upgrade(database)
        assert schema.revision_of(database) == NEWEST
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, tables.METADATA) == []


def test_every_step_has_a_way_back(address: str) -> None:
    with closing(Database(address)) as database:
        schema.upgrade(database, OLD)
        assert "derived" not in names(database) and "votes" in names(database)
        schema.upgrade(database)
        assert {"derived", "demographics"} <= names(database)
        schema.downgrade(database, OLD)
        assert schema.revision_of(database) == OLD and "derived" not in names(database)
        schema.downgrade(database, "base")
        assert names(database) == {"alembic_version"}
        schema.upgrade(database)
        assert schema.revision_of(database) == NEWEST


def test_a_study_survives_the_way_back_and_forth(address: str) -> None:
    with closing(Service.open(address)) as service:
        from pluralism.elicitation.interview import read_case, read_protocol

        made = service.studies.create(
            title="Children", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="organiser"
        )
        service.studies.change(made.id, by="organiser", status="open")
        take_part(service, made)
        schema.downgrade(service.database, OLD)
        schema.upgrade(service.database)
        assert service.studies.counts(made.id).by_phase == {"done": 1}
        assert service.audit.verify(made.id).ok


def test_several_workers_may_start_at_once(address: str) -> None:
    databases = [Database(address) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(schema.upgrade, databases))
    assert {schema.revision_of(database) for database in databases} == {NEWEST}
    for database in databases:
        database.close()


def test_a_database_of_a_newer_version_is_refused_and_kept(address: str) -> None:
    with closing(Database(address)) as database:
        schema.upgrade(database)
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(UsageError, match="newer version"):
            Service.open(address)
        assert "votes" in names(database)


@pytest.mark.parametrize("statements", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_migration_killed_midway_leaves_the_old_schema(either_address: str, statements: int) -> None:
    with closing(Database(either_address)) as database:
        schema.upgrade(database, OLD)
        before = names(database)
        database.close()
        done = subprocess.run([sys.executable, KILLED, either_address, str(statements)], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert schema.revision_of(database) == OLD
        assert names(database) == before
        schema.upgrade(database)
        assert schema.revision_of(database) == NEWEST


def test_every_step_is_in_the_package_and_in_order() -> None:
    folder = Path(schema.__file__).parent / "migrations" / "versions"
    steps = sorted(path.name[1:5] for path in folder.glob("m*.py"))
    assert steps == [OLD, NEWEST]
