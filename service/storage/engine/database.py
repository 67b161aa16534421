"""The engine and its transactions, on SQLite and on PostgreSQL."""

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
"""Of connections to PostgreSQL: seconds to connect, milliseconds until silence is a loss."""

_POOL = {"pool_size": 15, "max_overflow": 0, "pool_use_lifo": True}
"""What overflows is closed after each use, and a new connection costs more than a submission."""
_JSON = {
    "json_serializer": lambda value: to_json(value).decode(),
    "json_deserializer": from_json,
}
"""Pydantic's: a third of the time of Python's own, which a page of studies is made of."""
_PING_AFTER_SECONDS = 1.0


class Database:
    """One database. Writing transactions on SQLite take the write lock when they begin:

    a deferred transaction that reads before it writes fails with a busy error that no timeout
    mends, as soon as another process has written in between.

    Args:
        url: SQLAlchemy URL, ``sqlite:///...`` or ``postgresql+psycopg://...``.
        patience: seconds that stores wait for it where it is away (``resilience.py``).
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
        """Open a session for reading, from one snapshot."""
        with Session(self._reader) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session for writing; commits at the end, rolls back on an error."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
            write_noted_events(session)

    def peek(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        """Return what a query finds now, as plain rows.

        On PostgreSQL over a connection kept for that and past the ORM: a tenth of the cost, for
        what every request asks. A connection that broke is replaced once.
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
        """Return a connection of the driver that no pool knows."""
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
    rows: Sequence[Sequence[Any]] = connection.execute(text, values).fetchall()
    return rows


def insert_for(session: Session) -> Any:
    """Return the INSERT of this database that knows ON CONFLICT."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert if postgres else sqlite.insert


def write_ahead(engine: Engine) -> None:
    """Let readers and the writer of a SQLite file go on side by side, on all new connections.

    A commit survives the death of the process; a power failure may take the last ones back.
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
    """Ask a connection whether it still is one, unless it was used a moment ago.

    As ``pool_pre_ping`` does, which asks every time.
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
            raise InvalidatePoolError from error  # all idle ones are as old; a new one is made
