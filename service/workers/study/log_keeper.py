"""Stores a runner's log lines about its study in the database, where every API process reads."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ham.client.records import LogLevel, NewLogLine
from service.logs import masked
from service.records import StudyLease
from service.storage.operations.logs import LogStore

SECONDS_BETWEEN_WRITES = 1.0
MAX_WAITING_LINES = 10_000
_LONGEST_TEXT = 20_000
_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}


@contextmanager
def kept_logs(store: LogStore, lease: StudyLease) -> Iterator[None]:
    """Store what the package ``service`` logs within the context, about once a second.

    Lines that cannot be stored remain in the runner's output; they raise no error.
    """
    keeper = LogKeeper(store, lease)
    ours = logging.getLogger("service")
    ours.addHandler(keeper)
    try:
        yield
    finally:
        ours.removeHandler(keeper)
        keeper.close()


class LogKeeper(logging.Handler):
    """A log handler that writes lines to the database in batches, from its own thread.

    Args:
        store: where lines are stored.
        lease: the study lease of the study that the lines are about.
    """

    def __init__(self, store: LogStore, lease: StudyLease) -> None:
        super().__init__()
        self._store = store
        self._lease = lease
        self._lines: queue.Queue[NewLogLine] = queue.Queue(MAX_WAITING_LINES)
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="log-keeper", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record without waiting; it is dropped if 10,000 lines wait already."""
        try:
            self._lines.put_nowait(line_of(record))
        except queue.Full:
            pass

    def close(self) -> None:
        """Write the remaining lines and end the thread."""
        self._over.set()
        self._writer.join()
        super().close()

    def _write_on(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_WRITES):
            self._write()
        self._write()

    def _write(self) -> None:
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        if not lines:
            return
        try:
            self._store.append(self._lease, lines)
        except Exception as error:  # the database is away, or the lease lost: see the output
            print(f"{len(lines)} lines of the log are not stored: {error}", file=sys.stderr)


def line_of(record: logging.LogRecord) -> NewLogLine:
    """Return a log record as a line to store, without secrets and with texts cut to 20,000.

    Attributes that begin with an underscore are left out: Ray adds one to every record.
    """
    details = {
        name: masked(value) if isinstance(value, str) else value
        for name, value in vars(record).items()
        if name not in _STANDARD and not name.startswith("_") and _is_plain(value)
    }
    run_id = details.pop("run_id", None)
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info))
        details["exception"] = masked(text)[-_LONGEST_TEXT:]
    return NewLogLine(
        run_id=run_id,
        at=datetime.fromtimestamp(record.created, UTC),
        level=_level(record.levelno),
        event=masked(record.getMessage())[:_LONGEST_TEXT],
        details=details,
    )


def _level(number: int) -> LogLevel:
    if number >= logging.ERROR:
        return LogLevel.ERROR
    if number >= logging.WARNING:
        return LogLevel.WARNING
    return LogLevel.INFO if number >= logging.INFO else LogLevel.DEBUG


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
