"""Databases of both kinds, and a study on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from interviews import SetClock
from postgres_cluster import DatabasesOfTests, PostgresCluster, programs

from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.web.backup import backup
from pluralism.elicitation.web.service import Service
from pluralism.elicitation.web.study import Study


@pytest.fixture(scope="session")
def databases() -> Iterator[DatabasesOfTests]:
    """PostgreSQL databases, of a private server or the one that PLURALISM_TEST_DATABASE names."""
    given = os.environ.get("PLURALISM_TEST_DATABASE")
    if given is not None:
        databases = DatabasesOfTests(given)
        yield databases
        databases.drop()
        return
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql, or set PLURALISM_TEST_DATABASE")
    cluster = PostgresCluster(folder)
    yield DatabasesOfTests(cluster.address)
    cluster.stop()


@pytest.fixture
def postgres(databases: DatabasesOfTests) -> Iterator[Callable[[], str]]:
    """Gives the address of an empty PostgreSQL database, for this test alone."""
    given: list[str] = []

    def give() -> str:
        given.append(databases.take())
        return given[-1]

    yield give
    databases.free += given


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is one: tests commit often, and wait for the disk each time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of an empty database; PostgreSQL runs with the slow tests."""
    return str(folder / "study.db") if request.param == "sqlite" else request.getfixturevalue("postgres")()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_address(request: pytest.FixtureRequest, folder: Path) -> str:
    """As `address`, for the few tests that run on both always."""
    return str(folder / "study.db") if request.param == "sqlite" else request.getfixturevalue("postgres")()


@pytest.fixture
def clock() -> SetClock:
    """The clock of the service."""
    return SetClock()


@pytest.fixture(scope="session")
def file_with_a_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which there is an open study: copying it takes less time than making it."""
    place = tmp_path_factory.mktemp("studies")
    with closing(Service.open(place / "study.db", clock=SetClock())) as service:
        open_study(service)
        return backup(service.database, place / "copy.db")


def open_study(service: Service) -> Study:
    """A new study that can be joined."""
    made = service.studies.create(
        title="Children", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="organiser"
    )
    return service.studies.change(made.id, by="organiser", status="open")


@pytest.fixture
def service(address: str, clock: SetClock, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service, with a study in its database."""
    if "://" not in address:
        shutil.copy(request.getfixturevalue("file_with_a_study"), address)
    service = Service.open(address, clock=clock)
    if "://" in address:
        open_study(service)
    yield service
    service.close()


@pytest.fixture
def study(service: Service) -> Study:
    """The study of the service, open."""
    (found,) = service.studies.all()
    return found
