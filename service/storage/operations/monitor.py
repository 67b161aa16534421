"""The monitor: readiness of the database, and numbers for metrics."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text

from ham.client.records import HELD, RunState, StudyState
from service.clock import Clock
from service.errors import NotReady
from service.records import Snapshot
from service.storage.engine.database import Database
from service.storage.engine.migrate import MIGRATIONS
from service.storage.engine.retries import retry_transactions
from service.storage.studies.queue import in_state
from service.storage.tables import RunRow, StudyRow

RECENT = timedelta(minutes=5)


@retry_transactions
class Monitor:
    """Readiness of the database and numbers for metrics."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def check(self) -> None:
        """Check that the tables are those of this version of the service.

        Raises:
            NotReady: they are of another version.
        """
        with self._database.read() as session:
            found = session.scalar(text("SELECT version_num FROM hamtune_version"))
        if found != _newest_revision():
            raise NotReady(
                f"the database is at revision {found}, and this version needs "
                f"{_newest_revision()}; run: hamtune migrate"
            )

    def snapshot(self) -> Snapshot:
        """Count the studies by state, and the runs that run or ended within five minutes."""
        now = self._clock()
        live = in_state(*HELD) & (StudyRow.claimable_at > now)
        with self._database.read() as session:
            states = select(StudyRow.state, func.count()).group_by(StudyRow.state)
            studies = {state: count for state, count in session.execute(states)}
            claimable = select(func.count(), func.min(StudyRow.created_at)).where(
                StudyRow.claimable_at <= now, in_state(StudyState.QUEUED) | in_state(*HELD)
            )
            waiting, oldest = session.execute(claimable).one()
            recent = (
                select(RunRow.purpose, RunRow.state, func.count())
                .where((RunRow.ended_at > now - RECENT) | RunRow.ended_at.is_(None))
                .group_by(RunRow.purpose, RunRow.state)
            )
            runs = {(purpose, state): count for purpose, state, count in session.execute(recent)}
            schedulers = session.scalar(
                select(func.count(StudyRow.lease_owner.distinct())).where(live)
            )
        running = {key[0]: count for key, count in runs.items() if key[1] == RunState.RUNNING}
        return Snapshot(
            studies={state: studies.get(state, 0) for state in StudyState},
            claimable=waiting,
            longest_wait=now - oldest if oldest is not None else timedelta(0),
            running_runs=running,
            ended_runs={key: n for key, n in runs.items() if key[1] != RunState.RUNNING},
            schedulers=schedulers or 0,
        )


@cache
def _newest_revision() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()
