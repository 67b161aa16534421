"""Durable storage of everything that the service knows: SQLite embedded, PostgreSQL in production.

One :class:`Storage` covers one database; its attributes are the stores. They are in these folders:

- ``engine``: the database, its transactions, retries, keyset pages and migrations;
- ``studies``: studies, their queue, their state transitions, sweeps, quotas, idempotency keys;
- ``runs``: runs and learning curves, run counts, external results, exports;
- ``results``: combinations, recommendations, Pareto fronts;
- ``operations``: API keys, events, log lines, and the monitor;
- ``tables``: the tables as ORM classes; ``migrations``: their versions.

Every store keeps these rules:

**Transactions.** Each method is one transaction: all of it happens, or none of it.

**Copies.** Returned values are immutable copies. Later writes never change them.

**Study leases.** A study has at most one live lease. Claiming the study again, after the lease
ran out, raises the fencing token. A write that carries an older token raises
:class:`~service.errors.StaleLease` and writes nothing. So does a write to a study that has ended.

**Runs.** (study, job) is unique. Beginning a job whose run has ended returns that run unchanged,
so no training counts twice. An ended run never changes. A run belongs to the combination that was
trained: the combination of its study, at the sparsity of the job if the job names one.

**Results.** The result of a study is stored in the transaction that ends the study. A study of one
objective stores a recommendation of its combination. A study of two objectives stores a Pareto
front and no recommendation.

**Transitions.** A study changes its state only as
:data:`ham.client.records.lifecycle.TRANSITIONS` allows; the database refuses any other change.
Each change is stored as an event: who, when, why. The end of a study cancels its running runs.
Event ids grow in the order of the commits: a reader that has seen all events up to an id, and asks
for the later ones, misses none.

**A lost runner is not a failure.** A study whose runner vanished can be claimed again. It fails
only if its runner reports a failure, or if too many runners were lost.
"""

from __future__ import annotations

from service.clock import Clock, utc_now
from service.records import UNLIMITED, Limits
from service.settings import Settings
from service.storage.engine.database import Database
from service.storage.operations.events import EventStore
from service.storage.operations.keys import KeyStore
from service.storage.operations.logs import LogStore
from service.storage.operations.monitor import Monitor
from service.storage.results.combinations import CombinationStore
from service.storage.results.pareto_fronts import ParetoFrontStore
from service.storage.results.recommendations import RecommendationStore
from service.storage.runs.export import Exports
from service.storage.runs.external_results import ExternalRunStore
from service.storage.runs.run_counts import RunCountStore
from service.storage.runs.store import RunStore
from service.storage.studies.queue import StudyQueue
from service.storage.studies.quotas import Quotas
from service.storage.studies.store import Intake, StudyStore
from service.storage.studies.sweeps import SweepStore

__all__ = ["Database", "Storage", "open_storage"]


class Storage:
    """All stores over one database.

    Args:
        database: where the tables are.
        clock: returns the time now, in UTC.
        max_attempts: runners that a study may lose before it fails.
        limits: limits of a submitter whose API key has none of its own.
    """

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
        self.studies = StudyStore(database, clock, quotas, intake)
        self.queue = StudyQueue(database, clock, max_attempts, quotas)
        self.combinations = CombinationStore(database)
        self.sweeps = SweepStore(database, clock, quotas, intake)
        self.events = EventStore(database)
        self.logs = LogStore(database)
        self.runs = RunStore(database, clock)
        self.run_counts = RunCountStore(database)
        self.recommendations = RecommendationStore(database)
        self.pareto_fronts = ParetoFrontStore(database)
        self.external_runs = ExternalRunStore(database, clock)
        self.exports = Exports(database)
        self.keys = KeyStore(database, clock)
        self.monitor = Monitor(database, clock)


def open_storage(settings: Settings, max_wait: float = 0.0) -> Storage:
    """Open the storage that the settings name. Its tables must exist (``hamtune migrate``).

    Args:
        settings: name the database and the limits.
        patience: seconds to wait for a database that does not answer. The interrupted call is
            then made again although its first attempt may have been committed, so only a caller
            whose calls may be repeated may wait.
    """
    return Storage(
        Database(settings.database, max_wait),
        max_attempts=settings.max_attempts,
        limits=settings.limits,
    )
