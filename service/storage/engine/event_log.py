"""Writes events so that their ids grow in the order of the commits.

PostgreSQL assigns ids before the commit. Of two concurrent transactions the one with the lower id
may commit last, and a reader that asks for "all events after 7" would miss its event. Therefore a
transaction writes its events last, under a lock that PostgreSQL releases only after the commit is
visible: no other transaction draws an event id meanwhile. SQLite has a single writer and needs no
lock.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, cast, func, insert, select
from sqlalchemy.orm import Session

from ham.client.records import EventKind, StudyState
from service.clock import Clock
from service.storage.tables import Base, StudyEventRow, StudyRow

_LOCK = 0x6576656E74  # any fixed number
_NOTED = "hamtune_events"


def note_event(
    session: Session,
    clock: Clock,
    study: StudyRow,
    kind: EventKind,
    *,
    by: str | None,
    source: StudyState | None = None,
    reason: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Keep an event until the end of this transaction, which writes it."""
    row = StudyEventRow(
        study_id=study.id,
        at=clock(),
        kind=kind,
        owner=by,
        source=source,
        state=study.state,
        reason=reason,
        details=details or {},
    )
    session.info.setdefault(_NOTED, []).append(row)


def write_noted_events(session: Session) -> None:
    """Write the noted events. No other write may follow in this transaction."""
    if not (rows := session.info.pop(_NOTED, [])):
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            _UNDER_LOCK, [{name: getattr(row, name) for name in _NAMES} for row in rows]
        )
    else:
        session.add_all(rows)
        session.flush()


_TABLE = Base.metadata.tables[StudyEventRow.__tablename__]
_COLUMNS = [column for column in _TABLE.columns if column.name != "id"]
_NAMES = [column.name for column in _COLUMNS]
_UNDER_LOCK = insert(_TABLE).from_select(
    _NAMES,
    select(
        *(cast(bindparam(column.name, type_=column.type), column.type) for column in _COLUMNS)
    ).select_from(select(func.pg_advisory_xact_lock(_LOCK).label("held")).subquery("lock")),
)
"""Takes the lock and inserts in one statement: all other writers wait from the lock to the commit.

An id is drawn only when a row is inserted, and the subquery that locks comes before the rows."""
