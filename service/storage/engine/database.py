"""Connections and transactions, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from psycopg import OperationalError
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Engine, Select, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session

from service.storage.engine.event_log import write_noted_events

_CONNECT_ARGS = {"connect_timeout": 5, "tcp_user_timeout": 30_000}
"""For PostgreSQL: seconds to connect; milliseconds of silence until a connection is lost."""

_POOL = {"pool_size": 15, "max_overflow": 0, "pool_use_lifo": True}
"""No overflow: such a connection closes after use; a new one costs more than a submission."""
_JSON = {
    "json_serializer": lambda value: to_json(value).decode(),
    "json_deserializer": from_json,
}
"""Pydantic's JSON takes a third of the time of Python's, and a page of studies is mostly JSON."""
_PING_AFTER_SECONDS = 1.0


class Database:
    """One database.

    A writing transaction on SQLite takes the write lock when it begins. A deferred transaction
    that reads before it writes would fail with a busy error, which no timeout prevents, if another
    process wrote in between.

    Args:
        url: SQLAlchemy URL, ``sqlite:///...`` or ``postgresql+psycopg://...``.
        max_wait: seconds that the stores wait for a database that does not answer
            (``retries.py``).
    """

    def __init__(self, url: str, max_wait: float = 0.0) -> None:
        self.url = url
        self.max_wait = max_wait
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            path = make_url(url).database
            assert path is not None
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(url, connect_args={"timeout": 30}, **_JSON)
            _control_transactions(self.engine)
            self._reader = self.engine
        else:
            self.engine = create_engine(url, connect_args=_CONNECT_ARGS, **_POOL, **_JSON)
            _ping_idle_connections(self.engine)
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._peek_connection: Any = None
        self._peek_lock = Lock()
        self._texts: dict[Select[Any], str] = {}
        self._writer = self.engine.execution_options(hamtune_write=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading from one snapshot."""
        with Session(self._reader) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session for writing; commit at its end, roll back on an error."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
            write_noted_events(session)

    def peek(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        """Return the present result of a query as plain rows.

        On PostgreSQL it uses a connection of its own and bypasses the ORM, at a tenth of the cost:
        for the query that every request makes. A broken connection is replaced once.
        """
        if self.is_sqlite:
            with self.read() as session:
                return session.execute(query, values).all()
        with self._peek_lock:
            if query not in self._texts:
                self._texts[query] = str(query.compile(dialect=self.engine.dialect))
            if self._peek_connection is not None:
                try:
                    return _fetched(self._peek_connection, self._texts[query], values)
                except OperationalError:
                    self._peek_connection.close()
            self._peek_connection = self._open_peek_connection()
            return _fetched(self._peek_connection, self._texts[query], values)

    def _open_peek_connection(self) -> Any:
        """Return a connection of the driver that belongs to no pool."""
        pooled = self.engine.connect().connection
        connection: Any = pooled.driver_connection
        pooled.detach()
        connection.autocommit = True
        return connection

    def close(self) -> None:
        """Close all connections."""
        if self._peek_connection is not None:
            self._peek_connection.close()
            self._peek_connection = None
        self.engine.dispose()


def _fetched(connection: Any, text: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
    """Execute a statement on a connection of the driver and return its rows."""
    rows: Sequence[Sequence[Any]] = connection.execute(text, values).fetchall()
    return rows


def insert_for(session: Session) -> Any:
    """Return the INSERT construct with ON CONFLICT of the session's database."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert if postgres else sqlite.insert


def write_ahead(engine: Engine) -> None:
    """Put new connections to a SQLite file in write-ahead mode: readers do not block the writer.

    A commit survives a crash of the process. A power failure may undo the last commits.
    """

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _control_transactions(engine: Engine) -> None:
    write_ahead(engine)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction of its own
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("hamtune_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _ping_idle_connections(engine: Engine) -> None:
    """Test a pooled connection before use if it was idle for more than a second.

    ``pool_pre_ping`` would test it before every use.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used_at"] = monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or monotonic() - used_at < _PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except OperationalError as error:
            raise InvalidatePoolError from error  # closes all idle connections, which are as old
