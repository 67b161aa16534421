"""The store of recommendations: numbered versions for each combination."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, bindparam, exists, func, literal_column, select
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from ham.client.records import (
    ALL_COMBINATIONS,
    Benchmark,
    CombinationFilter,
    Cost,
    Grade,
    NewRecommendation,
    Recommendation,
    SurfaceGrid,
)
from ham.config import Combination
from service.errors import NotFound
from service.ids import new_id
from service.storage.engine.database import Database
from service.storage.engine.mapping import column_values, field_names, field_values
from service.storage.engine.retries import retry_transactions
from service.storage.results.combinations import combination_record, matches
from service.storage.tables import (
    CombinationRow,
    RecommendationRow,
    RunRow,
    StudyEventRow,
    StudyRow,
)

_FIELDS = field_names(Combination)
_MAY_RECOMMEND = StudyEventRow.state.in_(
    [literal_column("'succeeded'"), literal_column("'cancelled'")]
)
"""States of studies that may have a recommendation. The index needs them as literals."""
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


def add_recommendation(
    session: Session, study: StudyRow, result: NewRecommendation, now: datetime
) -> RecommendationRow:
    """Store the result of a study as the newest version of its combination."""
    _lock_combination(session, study.combination_id)
    cost = _cost_of_all(session, study.combination_id)
    newest = session.scalar(
        select(func.max(RecommendationRow.version)).where(
            RecommendationRow.combination_id == study.combination_id
        )
    )
    row = RecommendationRow(
        id=new_id("rec"),
        combination_id=study.combination_id,
        study_id=study.id,
        version=(newest or 0) + 1,
        created_at=now,
        grade=result.grade,
        alpha=result.setting.alpha,
        beta=result.setting.beta,
        result=result.model_dump(mode="json"),
        surface=result.surface and result.surface.model_dump(mode="json"),
        **column_values(cost, RecommendationRow),
    )
    session.add(row)
    return row


def add_recommendation_unless_measured(
    session: Session, study: StudyRow, result: NewRecommendation, now: datetime
) -> None:
    """Store a result, unless the combination has one that was measured on held-out seeds."""
    _lock_combination(session, study.combination_id)
    measured = select(RecommendationRow.id).where(
        RecommendationRow.combination_id == study.combination_id,
        RecommendationRow.grade.in_((Grade.CONFIRMED, Grade.NO_GAIN)),
    )
    if session.scalar(measured.limit(1)) is None:
        add_recommendation(session, study, result, now)


def recommendation_record(row: RecommendationRow) -> Recommendation:
    """Return the recommendation in a row."""
    result = NewRecommendation.model_validate(row.result)
    return Recommendation(
        **dict(result),
        **field_values(row, Recommendation, but=NewRecommendation),
        combination=combination_record(row.combination),
        cost=Cost(**field_values(row, Cost)),
    )


def _lock_combination(session: Session, combination_id: int) -> None:
    """Make studies of one combination that end at the same time take their versions in turn."""
    session.execute(
        select(CombinationRow.id).where(CombinationRow.id == combination_id).with_for_update()
    )


def _cost_of_all(session: Session, combination_id: int) -> Cost:
    """Return the cost of all trainings of a combination so far, of all its studies."""
    sums = select(func.sum(RunRow.seconds), func.sum(RunRow.gpu_seconds)).where(
        RunRow.combination_id == combination_id
    )
    seconds, gpu_seconds = session.execute(sums).one()
    return Cost(seconds=seconds or 0.0, gpu_seconds=gpu_seconds or 0.0)
