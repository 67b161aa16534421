"""Counts of runs by study, purpose and state, and the best run of each study."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ham.client.records import ENDED, Purpose, RunState, Study
from service.records import BestRun, RunCount, StudyRunCounts
from service.storage.engine.database import Database
from service.storage.engine.retries import retry_transactions
from service.storage.runs.rows import ham_config_record
from service.storage.tables import RunRow, StudyRow

_MAX_CACHED = 10_000
"""Maximum number of studies whose counts stay in memory."""


@retry_transactions
class RunCountStore:
    """Counts of the runs of studies.

    The runs of an ended study never change, so its counts are read once and kept in memory.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[str, StudyRunCounts] = {}
        self._lock = Lock()

    def of(self, studies: Sequence[Study]) -> dict[str, StudyRunCounts]:
        """Return the run counts of each study by its id, with two queries for all of them."""
        cache = self._cache
        found = {study.id: cache[study.id] for study in studies if study.id in cache}
        missing = [study.id for study in studies if study.id not in found]
        if missing:
            with self._database.read() as session:
                best = {run.study_id: run for run in _best(session, missing)}
                counts: dict[str, list[RunCount]] = {id: [] for id in missing}
                for count in _counts(session, missing):
                    counts[count.study_id].append(count)
            found |= {id: StudyRunCounts(tuple(counts[id]), best.get(id)) for id in missing}
            self._remember(
                {study.id: found[study.id] for study in studies if study.state in ENDED}
            )
        return found

    def _remember(self, ended: dict[str, StudyRunCounts]) -> None:
        with self._lock:
            fresh = self._cache | ended
            self._cache = fresh if len(fresh) <= _MAX_CACHED else ended


def _counts(session: Session, study_ids: Sequence[str]) -> list[RunCount]:
    query = (
        select(
            RunRow.study_id,
            RunRow.purpose,
            RunRow.state,
            func.count(),
            func.min(RunRow.started_at),
        )
        .where(RunRow.study_id.in_(study_ids))
        .group_by(RunRow.study_id, RunRow.purpose, RunRow.state)
    )
    return [RunCount(*row) for row in session.execute(query)]


def _best(session: Session, study_ids: Sequence[str]) -> list[BestRun]:
    best = (
        select(RunRow.id)
        .where(
            RunRow.study_id == StudyRow.id,
            RunRow.purpose == Purpose.SEARCH,
            RunRow.state == RunState.SUCCEEDED,
        )
        .order_by(RunRow.validation_accuracy.desc(), RunRow.trial_number)
        .limit(1)
        .correlate(StudyRow)
        .scalar_subquery()
    )
    columns = (RunRow.study_id, RunRow.id, RunRow.alpha, RunRow.beta, RunRow.joint)
    # Two statements: PostgreSQL may scan all runs of a small table for a join.
    ids = session.scalars(select(best).where(StudyRow.id.in_(study_ids))).all()
    rows = session.execute(
        select(*columns, RunRow.validation_accuracy).where(RunRow.id.in_(filter(None, ids)))
    )
    return [
        BestRun(study_id, run_id, ham_config_record(alpha, beta, joint), accuracy)
        for study_id, run_id, alpha, beta, joint, accuracy in rows
    ]
