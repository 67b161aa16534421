"""Exports of all runs and learning curves, page by page, so that memory use stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import joinedload

from ham.client.records import ALL_COMBINATIONS, CombinationFilter, EpochMetrics, Purpose, Run
from ham.config import Combination
from service.storage.engine.database import Database
from service.storage.engine.retries import retry
from service.storage.results.combinations import combination_record, matches
from service.storage.runs.rows import epoch_record, run_record
from service.storage.tables import RunMetricRow, RunRow

PAGE = 1000


class Exports:
    """All runs and learning curves, in pages of at most 1000."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs(
        self, which: CombinationFilter = ALL_COMBINATIONS, purpose: Purpose | None = None
    ) -> Iterator[list[tuple[Run, Combination]]]:
        """Yield pages of runs with their combinations, oldest first, one transaction each."""
        query = (
            select(RunRow)
            .join(RunRow.combination)
            .where(*matches(which))
            .options(joinedload(RunRow.combination))
            .order_by(RunRow.id)
            .limit(PAGE)
        )
        if purpose is not None:
            query = query.where(RunRow.purpose == purpose)
        last = ""
        while page := retry(partial(self._page, query.where(RunRow.id > last))):
            yield page
            last = page[-1][0].id

    def curves(
        self, which: CombinationFilter = ALL_COMBINATIONS
    ) -> Iterator[list[tuple[str, EpochMetrics]]]:
        """Yield pages of (run id, epoch metrics), run by run, one transaction each."""
        position = tuple_(RunMetricRow.run_id, RunMetricRow.epoch)
        query = (
            select(RunMetricRow)
            .join(RunRow, RunRow.id == RunMetricRow.run_id)
            .join(RunRow.combination)
            .where(*matches(which))
            .order_by(RunMetricRow.run_id, RunMetricRow.epoch)
            .limit(PAGE)
        )
        last = ("", 0)
        while page := retry(partial(self._points, query.where(position > last))):
            yield page
            last = (page[-1][0], page[-1][1].epoch)

    def _points(self, query: Select[RunMetricRow]) -> list[tuple[str, EpochMetrics]]:
        with self._database.read() as session:
            return [(row.run_id, epoch_record(row)) for row in session.scalars(query)]

    def _page(self, query: Select[RunRow]) -> list[tuple[Run, Combination]]:
        with self._database.read() as session:
            rows = session.scalars(query).all()
            return [(run_record(row), combination_record(row.combination)) for row in rows]
