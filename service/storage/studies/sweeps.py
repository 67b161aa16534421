"""The store of sweeps; a sweep and all its studies are stored in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ham.client.records import (
    LOCAL,
    LeftOut,
    Plan,
    StudyRequest,
    StudyState,
    Sweep,
    SweepProgress,
    SweepRequest,
)
from service.clock import Clock
from service.errors import NotFound
from service.ids import new_id
from service.storage.engine.database import Database
from service.storage.engine.mapping import field_values
from service.storage.engine.retries import retry_transactions
from service.storage.studies.idempotency import keep_key, known_key, once, other_request
from service.storage.studies.quotas import Quotas
from service.storage.studies.store import Intake
from service.storage.tables import StudyRow, SweepRow


@retry_transactions
class SweepStore:
    """Sweeps: one request, many studies."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas, intake: Intake) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._intake = intake

    def submit(
        self,
        request: SweepRequest,
        planned: Sequence[tuple[StudyRequest, Plan]],
        left_out: Sequence[LeftOut],
        idempotency_key: str | None = None,
        *,
        submitter: str = LOCAL,
    ) -> tuple[Sweep, bool]:
        """Queue one study per plan, all or none; the flag says whether the sweep is new.

        Raises:
            Conflict: the key was used for another request.
            LimitReached: the submitter would have too many queued studies, or has no GPU hours
                left.
        """
        return once(
            lambda: self._submit(request, planned, left_out, idempotency_key, submitter),
            idempotency_key,
        )

    def get(self, sweep_id: str) -> Sweep:
        """Return a sweep.

        Raises:
            NotFound: there is no such sweep.
        """
        with self._database.read() as session:
            row = session.get(SweepRow, sweep_id)
            if row is None:
                raise NotFound(f"there is no sweep {sweep_id!r}; GET /v1/sweeps lists all")
            return _record(row)

    def list(self, *, limit: int = 50, before: str | None = None) -> list[Sweep]:
        """Return at most ``limit`` sweeps, newest first, with ids below ``before``."""
        query = select(SweepRow).order_by(SweepRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(SweepRow.id < before)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def progress(self, sweep_ids: Sequence[str]) -> dict[str, SweepProgress]:
        """Return the progress of each sweep by its id, with one query over their studies."""
        query = (
            select(
                StudyRow.sweep_id,
                StudyRow.state,
                func.count(),
                func.sum(StudyRow.plan["expected_runs"].as_integer()),
                func.sum(StudyRow.runs_ended),
            )
            .where(StudyRow.sweep_id.in_(sweep_ids))
            .group_by(StudyRow.sweep_id, StudyRow.state)
        )
        by_state: dict[str, dict[StudyState, int]] = {id: {} for id in sweep_ids}
        planned, done = dict.fromkeys(sweep_ids, 0), dict.fromkeys(sweep_ids, 0)
        with self._database.read() as session:
            for sweep_id, state, studies, expected, ended in session.execute(query):
                by_state[sweep_id][state] = studies
                planned[sweep_id] += expected
                done[sweep_id] += ended
        return {
            id: SweepProgress(
                studies=sum(by_state[id].values()),
                by_state=by_state[id],
                runs_planned=planned[id],
                runs_done=done[id],
            )
            for id in sweep_ids
        }

    def _submit(
        self,
        request: SweepRequest,
        planned: Sequence[tuple[StudyRequest, Plan]],
        left_out: Sequence[LeftOut],
        key: str | None,
        submitter: str,
    ) -> tuple[Sweep, bool]:
        with self._database.write() as session:
            if known := self._known(session, submitter, key, request):
                return known, False
            self._intake.add_submitter(session, submitter)
            self._quotas.check(session, submitter, len(planned), self._clock())
            row = self._add(session, request, left_out, submitter)
            for study, plan in planned:
                self._intake.add(session, study, plan, submitter, row.id)
            if key is not None:
                keep_key(session, submitter, key, self._clock(), sweep_id=row.id)
            session.flush()
            return _record(row), True

    def _known(
        self, session: Session, submitter: str, key: str | None, request: SweepRequest
    ) -> Sweep | None:
        if key is None or not (known := known_key(session, submitter, key, self._clock())):
            return None
        if known.sweep_id is None:
            raise other_request(key, f"study {known.study_id}")
        sweep = _record(session.get_one(SweepRow, known.sweep_id))
        if sweep.request != request:
            raise other_request(key, f"sweep {sweep.id}")
        return sweep

    def _add(
        self, session: Session, request: SweepRequest, left_out: Sequence[LeftOut], submitter: str
    ) -> SweepRow:
        row = SweepRow(
            id=new_id("sweep"),
            submitter=submitter,
            created_at=self._clock(),
            request=request.model_dump(mode="json"),
            left_out=[combination.model_dump(mode="json") for combination in left_out],
        )
        session.add(row)
        session.flush()
        return row


def _record(row: SweepRow) -> Sweep:
    return Sweep(**field_values(row, Sweep))
