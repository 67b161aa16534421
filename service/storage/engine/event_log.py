"""Writes events so that their ids grow in the order in which they become visible.

PostgreSQL hands out ids before the commit, so of two transactions at work at the same time the
one with the lower id may commit last, and whoever reads "all events after 7" misses it for ever.
Therefore a transaction writes its events last and under a lock that PostgreSQL lets go only after
the commit is visible: from its first id on, no other transaction draws one. SQLite has a single
writer and needs no lock.
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
    """Keep an event to be written at the end of this transaction."""
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
    """Write what was noted. Nothing else may follow in this transaction."""
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
"""One statement, since everybody else waits from the lock to the commit. The id is drawn for a
row, and there is no row before the lock is taken."""
