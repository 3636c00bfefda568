"""The database: what is written is durable and lost by nobody, and faults are named."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from pluralism.elicitation.web import database as database_module
from pluralism.elicitation.web.backup import backup
from pluralism.elicitation.web.database import Database, database_url
from pluralism.elicitation.web.study_transaction import now, study_transaction
from pluralism.errors import DataError, NotFoundError, PluralismError, StorageError, UsageError

THREADS, TIMES = 4, 50


def counter(database):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))


def read_modify_write(database, barrier):
    lock = "" if database.is_sqlite else " FOR UPDATE"
    barrier.wait()
    for _ in range(TIMES):
        with database.write() as connection:
            n = connection.execute(text(f"SELECT n FROM counter{lock}")).scalar_one()
            connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})


@pytest.mark.parametrize("own_connections", [False, True], ids=["one process", "as processes"])
def test_of_read_modify_writes_in_four_threads_none_is_lost_and_none_fails(
    either_address: str, own_connections: bool
) -> None:
    with closing(Database(either_address)) as database:
        counter(database)
        others = [Database(either_address) for _ in range(THREADS)] if own_connections else [database] * THREADS
        barrier = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(read_modify_write, other, barrier) for other in others]:
                done.result()
        with database.read() as connection:
            assert connection.execute(text("SELECT n FROM counter")).scalar_one() == THREADS * TIMES
        for other in others:
            other.close()


def test_entries_that_threads_add_to_a_study_form_one_chain(service, study) -> None:
    def add(number):
        for _ in range(10):
            with study_transaction(service.database, study.id, now()) as transaction:
                transaction.log(f"thread {number}", "tried")

    before = service.audit.head(study.id).n_entries
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))
    audit = service.audit.verify(study.id)
    assert audit.ok and audit.heads.n_entries == before + 10 * THREADS


def test_sqlite_is_set_up_for_durability(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "a.db")) as database, database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
        assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


def test_postgresql_waits_for_the_disk_even_where_the_server_would_not(postgres) -> None:
    with closing(Database(postgres())) as database:
        with database.write() as connection:
            name = database.url.database
            connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
        database.close()
        with database.read() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"


def test_a_write_that_fails_leaves_nothing(address: str) -> None:
    with closing(Database(address)) as database:
        counter(database)
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            connection.execute(text("UPDATE counter SET n = 7"))
            raise ZeroDivisionError
        with database.read() as connection:
            assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 0


def test_what_is_read_is_of_one_moment(address: str) -> None:
    with closing(Database(address)) as database:
        counter(database)
        with database.read() as connection:
            before = connection.execute(text("SELECT n FROM counter")).scalar_one()
            with database.write() as writer:
                writer.execute(text("UPDATE counter SET n = 9"))
            assert connection.execute(text("SELECT n FROM counter")).scalar_one() == before


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "a.db")) as database:
        counter(database)
        said = "what a participant said " * 4000
        with pytest.raises(StorageError, match="full") as raised, database.write() as connection:
            connection.execute(text("UPDATE counter SET n = 1"))
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.execute(text("CREATE TABLE texts (said TEXT)"))
            connection.execute(text("INSERT INTO texts VALUES (:said)"), {"said": said})
        assert "what a participant said" not in f"{raised.value}{raised.value.__cause__}"
        with database.read() as connection:
            assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 0


def test_a_database_that_is_locked_for_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "WAIT_SECONDS", 0.1)
    with closing(Database(tmp_path / "a.db")) as database, closing(sqlite3.connect(tmp_path / "a.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"), database.write():
            pass


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\0" + b"damage" * 1000)
    with pytest.raises(StorageError):
        Database(tmp_path / "a.db")


def test_a_copy_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "a.db")) as database, pytest.raises(StorageError):
        backup(database, tmp_path / "missing" / "copy.db")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageError) as raised:
        Database("postgresql://ann:secret@127.0.0.1:1/none")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", ["mysql://host/name", "sqlite://", "sqlite:///:memory:", "://"])
def test_other_databases_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        database_url(address)


def test_addresses_are_read_with_the_driver_that_is_there() -> None:
    assert str(database_url("postgresql://ann@host/name")) == "postgresql+psycopg://ann@host/name"
    assert str(database_url("postgres://ann@host/name")) == "postgresql+psycopg://ann@host/name"
    assert str(database_url("study.db")) == "sqlite:///study.db"


def test_other_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ann, this is no database.")
    with pytest.raises(DataError, match="no SQLite"):
        Database(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text().startswith("Dear")
    with pytest.raises(StorageError):
        Database(tmp_path / "missing" / "a.db")


def test_a_study_that_is_not_there_is_named(service) -> None:
    for ask in (service.studies.get, service.studies.counts, service.graphs.get, service.audit.head):
        with pytest.raises(NotFoundError):
            ask("0" * 32)
    with pytest.raises(PluralismError):
        service.exports.make("0" * 32, "json", by="organiser")
