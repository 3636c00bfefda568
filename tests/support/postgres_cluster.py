"""A private PostgreSQL server in a temporary folder, reached by a socket in it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


class PostgresCluster:
    """Runs until `stop`; the server refuses to run as root, so that root starts it as another user."""

    def __init__(self, bin_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(self.folder, self._user)
        data = self.folder / "data"
        self._run(
            [bin_folder / "initdb", "--pgdata", data, "--username=tests", "--auth=trust", "--no-sync", "-E", "UTF8"]
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": 200,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [bin_folder / "postgres", "-D", data, *flags],
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.address = f"postgresql://tests@/postgres?host={self.folder}"
        self._wait()

    def stop(self) -> None:
        """End the server at once, and remove the folder."""
        # By this signal the server ends at once: nothing of it is needed any more.
        self._server.send_signal(signal.SIGQUIT)
        try:
            self._server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: list[object]) -> None:
        subprocess.run(command, user=self._user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def _wait(self) -> None:
        for _ in range(200):
            try:
                psycopg.connect(self.address).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise TimeoutError("the private PostgreSQL server does not answer")


class DatabasesOfTests:
    """Databases of a server that tests use one after the other: emptying one takes less time than making it.

    Parameters
    ----------
    server : str
        The address of a database on it, by a user who may make others.
    """

    def __init__(self, server: str) -> None:
        self._server, self._made, self.free = server, [], []

    def take(self) -> str:
        """The address of a database, empty, that nobody else uses."""
        if not self.free:
            self._made.append(f"test_{secrets.token_hex(6)}")
            self._tell(f"CREATE DATABASE {self._made[-1]}")
            return make_url(self._server).set(database=self._made[-1]).render_as_string(hide_password=False)
        address = self.free.pop()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" RESET ALL')
        return address

    def drop(self) -> None:
        """Remove them all."""
        for name in self._made:
            self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _tell(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement)
