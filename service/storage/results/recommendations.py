"""Recommendations in SQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy import Integer, bindparam, exists, literal_column, select
from sqlalchemy.orm import aliased, contains_eager, joinedload

from ham.client.records import (
    ALL_COMBINATIONS,
    Benchmark,
    CombinationFilter,
    Cost,
    NewRecommendation,
    Recommendation,
    SurfaceGrid,
)
from ham.config import Combination
from service.errors import NotFound
from service.storage.engine.database import Database
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import combination_record, matches
from service.storage.tables import CombinationRow, RecommendationRow, StudyEventRow, StudyRow

_FIELDS = tuple(field.name for field in fields(Combination))
_MAY_RECOMMEND = StudyEventRow.state.in_(
    [literal_column("'succeeded'"), literal_column("'cancelled'")]
)
"""A study that succeeds recommends; one that is drained may. Literals, for the index's sake."""
NEWS = (
    select(StudyEventRow.id, *(getattr(CombinationRow, name) for name in _FIELDS))
    .join(StudyRow, StudyRow.id == StudyEventRow.study_id)
    .join(StudyRow.combination)
    .where(
        _MAY_RECOMMEND,
        StudyEventRow.id > bindparam("version", type_=Integer),
    )
    .order_by(StudyEventRow.id)
)


@retry_transactions
class RecommendationStore:
    """Recommendations: numbered versions for each combination."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(
        self,
        which: CombinationFilter = ALL_COMBINATIONS,
        *,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Recommendation]:
        """Return the newest recommendation of each matching combination, newest first.

        At most ``limit`` are returned, with ids below ``before``.
        """
        newer = aliased(RecommendationRow)
        superseded = exists().where(
            newer.combination_id == RecommendationRow.combination_id,
            newer.version > RecommendationRow.version,
        )
        query = (
            select(RecommendationRow)
            .join(RecommendationRow.combination)
            .where(~superseded, *matches(which))
            .options(contains_eager(RecommendationRow.combination))
            .order_by(RecommendationRow.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(RecommendationRow.id < before)
        with self._database.read() as session:
            return [recommendation_record(row) for row in session.scalars(query)]

    def history(
        self, combination_id: int, *, limit: int = 50, before: int | None = None
    ) -> list[Recommendation]:
        """Return the versions of a combination's recommendation, newest first.

        At most ``limit`` are returned, with version numbers below ``before``.
        """
        query = (
            select(RecommendationRow)
            .where(RecommendationRow.combination_id == combination_id)
            .options(joinedload(RecommendationRow.combination))
            .order_by(RecommendationRow.version.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(RecommendationRow.version < before)
        with self._database.read() as session:
            return [recommendation_record(row) for row in session.scalars(query)]

    def version(self) -> int:
        """Return a number that grows with every recommendation, in the same transaction."""
        query = (
            select(StudyEventRow.id)
            .where(_MAY_RECOMMEND)
            .order_by(StudyEventRow.id.desc())
            .limit(1)
        )
        with self._database.read() as session:
            return session.scalar(query) or 0

    def news(self, version: int) -> list[tuple[int, Combination]]:
        """Return (version, combination) of the recommendations after a version, in their order.

        The query takes one index look-up if there are none.
        """
        return [
            (number, Combination.stored(**dict(zip(_FIELDS, values, strict=True))))
            for number, *values in self._database.peek(NEWS, version=version)
        ]

    def changed_at(self) -> datetime | None:
        """Return the time of the newest recommendation; None before the first."""
        query = (
            select(StudyEventRow.at)
            .where(StudyEventRow.state == literal_column("'succeeded'"))
            .order_by(StudyEventRow.id.desc())
            .limit(1)
        )
        with self._database.read() as session:
            return session.scalar(query)

    def of_study(self, study_id: str) -> Recommendation | None:
        """Return the recommendation that a study has stored; None if it has none."""
        query = (
            select(RecommendationRow)
            .where(RecommendationRow.study_id == study_id)
            .options(joinedload(RecommendationRow.combination))
        )
        with self._database.read() as session:
            row = session.scalars(query).one_or_none()
            return None if row is None else recommendation_record(row)

    def surface(self, recommendation_id: str) -> SurfaceGrid:
        """Return the response surface of a recommendation.

        Raises:
            NotFound: there is no such recommendation, or it has no surface.
        """
        query = select(RecommendationRow.surface).where(RecommendationRow.id == recommendation_id)
        with self._database.read() as session:
            found = session.execute(query).one_or_none()
        if found is None:
            raise NotFound(f"there is no recommendation {recommendation_id!r}")
        if found.surface is None:
            raise NotFound(
                f"recommendation {recommendation_id!r} has no response surface: its study had "
                "too few runs for one, or was made by an older version"
            )
        return SurfaceGrid.model_validate(found.surface)

    def benchmarks(self) -> list[Benchmark]:
        """Return every benchmark that has at least one recommendation."""
        columns = (
            CombinationRow.dataset,
            CombinationRow.model,
            CombinationRow.sparsity,
            CombinationRow.recipe,
        )
        recommended = exists().where(RecommendationRow.combination_id == CombinationRow.id)
        query = select(*columns).where(recommended).distinct().order_by(*columns)
        with self._database.read() as session:
            return [
                Benchmark(dataset=dataset, model=model, sparsity=sparsity, recipe=recipe)
                for dataset, model, sparsity, recipe in session.execute(query)
            ]


def recommendation_record(row: RecommendationRow) -> Recommendation:
    """Turn a row into a record."""
    result = NewRecommendation.model_validate(row.result)
    return Recommendation(
        **dict(result),
        id=row.id,
        combination=combination_record(row.combination),
        study_id=row.study_id,
        version=row.version,
        created_at=row.created_at,
        cost=Cost(seconds=row.seconds, gpu_seconds=row.gpu_seconds),
    )
