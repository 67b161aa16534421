"""Durable storage: SQLite embedded, PostgreSQL in production."""

from __future__ import annotations

from service.clock import Clock, utc_now
from service.records import UNLIMITED, Limits
from service.settings import Settings
from service.storage.base import Storage
from service.storage.engine.database import Database
from service.storage.operations.events import SqlEventStore
from service.storage.operations.keys import SqlKeyStore
from service.storage.operations.logs import SqlLogStore
from service.storage.operations.monitor import SqlMonitor
from service.storage.results.combination_list import SqlCombinationStore
from service.storage.results.pareto_fronts import SqlParetoFrontStore
from service.storage.results.recommendations import SqlRecommendationStore
from service.storage.runs.export import SqlExports
from service.storage.runs.external_results import SqlExternalRunStore
from service.storage.runs.run_counts import SqlRunCountStore
from service.storage.runs.store import SqlRunStore
from service.storage.studies.queue import SqlQueue
from service.storage.studies.quotas import Quotas
from service.storage.studies.store import Intake, SqlStudyStore
from service.storage.studies.sweeps import SqlSweepStore

__all__ = ["Database", "SqlStorage", "Storage", "open_storage"]


class SqlStorage:
    """Implements :class:`service.storage.base.Storage` over SQLAlchemy."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        max_attempts: int = 5,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.database = database
        quotas, intake = Quotas(limits), Intake(clock)
        self.studies = SqlStudyStore(database, clock, quotas, intake)
        self.queue = SqlQueue(database, clock, max_attempts, quotas)
        self.combinations = SqlCombinationStore(database)
        self.sweeps = SqlSweepStore(database, clock, quotas, intake)
        self.events = SqlEventStore(database)
        self.logs = SqlLogStore(database)
        self.runs = SqlRunStore(database, clock)
        self.run_counts = SqlRunCountStore(database)
        self.recommendations = SqlRecommendationStore(database)
        self.fronts = SqlParetoFrontStore(database)
        self.external_runs = SqlExternalRunStore(database, clock)
        self.exports = SqlExports(database)
        self.keys = SqlKeyStore(database, clock)
        self.monitor = SqlMonitor(database, clock)


def open_storage(settings: Settings, patience: float = 0.0) -> SqlStorage:
    """Open the storage that the settings name; its tables must be there (``migrate``).

    Args:
        settings: name the database.
        patience: seconds to wait for it where it is away; what is then tried again may have been
            done already, which only what the law calls repeatable can bear.
    """
    return SqlStorage(
        Database(settings.database, patience),
        max_attempts=settings.max_attempts,
        limits=settings.limits,
    )
