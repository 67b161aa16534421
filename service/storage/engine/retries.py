"""What becomes of errors that are no fault of the question asked: the one place for it.

Each method of a store is one transaction (``base.py``), so it can be run again as a whole. One
that the database gave up for another's sake (a deadlock, a serialization failure) is run again at
once. Where the database itself is away, workers wait for it; the API tells its caller to.
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
PATIENCE_OF_WORKERS = 120.0
"""Seconds; a database that is only started anew costs no study its runner."""
_LONGEST_PAUSE = 0.05
_SECONDS_BETWEEN_LOOKS = 1.0

_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"
_AWAY = ("08", "53", "57P")
"""SQLSTATEs of lost connections, of a server out of resources, and of one that shuts down."""
_AWAY_SQLITE = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL")


def resilient(store: type[Store]) -> type[Store]:
    """Run every public method of a store by :func:`persist`; it needs a ``_database``."""
    for name, method in list(vars(store).items()):
        plain = inspect.isfunction(method) and not inspect.isgeneratorfunction(method)
        if plain and not name.startswith("_"):
            setattr(store, name, _persisting(method))
    return store


def _persisting(method: Callable[..., T]) -> Callable[..., T]:
    @wraps(method)
    def run(self: Any, *args: Any, **options: Any) -> T:
        return persist(lambda: method(self, *args, **options), self._database.patience)

    return run


def persist(attempt: Callable[[], T], patience: float = 0.0) -> T:
    """Return what a transaction returns.

    Args:
        attempt: does all of it, or nothing. If the connection was lost at its commit nobody knows
            which, so with patience it must also bear being done twice.
        patience: seconds to wait for a database that is away.

    Raises:
        Unavailable: it is away for longer.
    """
    deadline = time.monotonic() + patience
    failures = 0
    while True:
        try:
            return attempt()
        except (DBAPIError, TimeoutError) as error:
            if _gave_way(error):
                failures += 1
                if failures == ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, failures * _LONGEST_PAUSE))
            elif not _is_away(error):
                raise
            elif time.monotonic() >= deadline:
                raise Unavailable(_reason(error)) from error
            else:
                time.sleep(_SECONDS_BETWEEN_LOOKS)


def _gave_way(error: Exception) -> bool:
    return _state(error) in (_SERIALIZATION_FAILURE, _DEADLOCK)


def _is_away(error: Exception) -> bool:
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return True
    if (name := getattr(error.orig, "sqlite_errorname", None)) is not None:
        return str(name).startswith(_AWAY_SQLITE)
    if (state := _state(error)) is not None:
        return state.startswith(_AWAY)
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")  # no connection


def _state(error: Exception) -> str | None:
    """Return PostgreSQL's SQLSTATE of an error, if it has one."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return None if state is None else str(state)


def _reason(error: Exception) -> str:
    """Return the kind of an error and nothing else: its text may name hosts and users."""
    kind = type(getattr(error, "orig", None) or error).__name__
    return f"the database does not answer ({kind}); try again in a moment"
