"""Retries of transactions after transient errors of the database.

Each store method is one transaction, so it can be repeated as a whole. After a deadlock or a
serialization failure it is repeated at once. If the database does not answer, workers wait for it;
the API answers that the database is unavailable.
"""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, TimeoutError

from service.errors import Unavailable

T = TypeVar("T")
Store = TypeVar("Store")

ATTEMPTS = 5
WORKER_MAX_WAIT = 120.0
"""Seconds that workers wait for a database, enough for a restart of it."""
_MAX_PAUSE_SECONDS = 0.05
_RETRY_EVERY_SECONDS = 1.0

_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"
_UNREACHABLE = ("08", "53", "57P")
"""SQLSTATE classes: connection lost, server out of resources, server shutting down."""
_UNREACHABLE_SQLITE = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL")


def retry_transactions(store: type[Store]) -> type[Store]:
    """Wrap every public method of a store in :func:`retry`. The store needs a ``_database``."""
    for name, method in list(vars(store).items()):
        plain = inspect.isfunction(method) and not inspect.isgeneratorfunction(method)
        if plain and not name.startswith("_"):
            setattr(store, name, _retrying(method))
    return store


def _retrying(method: Callable[..., T]) -> Callable[..., T]:
    @wraps(method)
    def run(self: Any, *args: Any, **options: Any) -> T:
        return retry(lambda: method(self, *args, **options), self._database.max_wait)

    return run


def retry(attempt: Callable[[], T], max_wait: float = 0.0) -> T:
    """Run a transaction, with retries, and return its result.

    Args:
        attempt: does all of the transaction, or nothing. If the connection is lost at the commit,
            the outcome is unknown; so with a positive ``max_wait`` it must be safe to do it twice.
        max_wait: seconds to wait for a database that does not answer.

    Raises:
        Unavailable: the database does not answer for longer.
    """
    deadline = time.monotonic() + max_wait
    failures = 0
    while True:
        try:
            return attempt()
        except (DBAPIError, TimeoutError) as error:
            if _is_transient(error):
                failures += 1
                if failures == ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, failures * _MAX_PAUSE_SECONDS))
            elif not _is_unreachable(error):
                raise
            elif time.monotonic() >= deadline:
                raise Unavailable(_reason(error)) from error
            else:
                time.sleep(_RETRY_EVERY_SECONDS)


def _is_transient(error: Exception) -> bool:
    return _state(error) in (_SERIALIZATION_FAILURE, _DEADLOCK)


def _is_unreachable(error: Exception) -> bool:
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return True
    if (name := getattr(error.orig, "sqlite_errorname", None)) is not None:
        return str(name).startswith(_UNREACHABLE_SQLITE)
    if (state := _state(error)) is not None:
        return state.startswith(_UNREACHABLE)
    return type(error.orig).__name__ in (
        "OperationalError",
        "ConnectionTimeout",
    )  # never connected


def _state(error: Exception) -> str | None:
    """Return PostgreSQL's SQLSTATE of an error; None if it has none."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return None if state is None else str(state)


def _reason(error: Exception) -> str:
    """Return a message with the kind of an error only: its text may contain hosts and users."""
    kind = type(getattr(error, "orig", None) or error).__name__
    return f"the database does not answer ({kind}); try again in a moment"
