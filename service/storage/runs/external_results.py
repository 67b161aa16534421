"""The store of external runs: trainings made outside of this service."""

from __future__ import annotations

from sqlalchemy.orm import joinedload

from ham.client.records import (
    ALL_COMBINATIONS,
    CombinationFilter,
    ExternalRun,
    NewExternalRun,
)
from ham.config import Combination, HamConfig
from service.clock import Clock
from service.ids import new_id
from service.storage.engine.database import Database
from service.storage.engine.keyset import newest
from service.storage.engine.mapping import field_values, shared_names
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import combination_id, combination_record
from service.storage.tables import ExternalRunRow

_STORED = set(shared_names(NewExternalRun, ExternalRunRow))


@retry_transactions
class ExternalRunStore:
    """Runs that were made outside of this service, apart from its own runs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(
        self, run: NewExternalRun, combination: Combination, submitter: str | None
    ) -> ExternalRun:
        """Store an external run and return it."""
        values = run.model_dump(mode="json", include=_STORED)
        with self._database.write() as session:
            row = ExternalRunRow(
                **values,
                id=new_id("external"),
                combination_id=combination_id(session, combination),
                submitter=submitter,
                created_at=self._clock(),
            )
            session.add(row)
            session.flush()
            return _record(row)

    def list(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ExternalRun]:
        """Return at most ``limit`` external runs, newest first, with ids below ``before``."""
        query = newest(ExternalRunRow, which, limit, before)
        query = query.options(joinedload(ExternalRunRow.combination))
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]


def _record(row: ExternalRunRow) -> ExternalRun:
    return ExternalRun(
        **field_values(row, ExternalRun),
        combination=combination_record(row.combination),
        setting=HamConfig(alpha=row.alpha, beta=row.beta),
    )
