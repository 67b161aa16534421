"""The study harness: a study on the real execution, Optuna and storage, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from ham.client.records import NewRecommendation, Plan, Run, StudyRequest
from ham.config import RunConfig
from service.domain.evidence.recommendations import recommend
from service.records import Outcome, StudyLease
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from service.workers.study.assignments import TrainingAssignment
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import OptunaSearch
from service.workers.study.optuna_storage import open_optuna_storage
from tests.service.workers.conftest import metrics, outcome_of

LEASE = timedelta(hours=1)


class StudyHarness:
    """One study in its own folder, with runners that can be lost.

    Args:
        folder: folder of its databases.
        request: the study's request.
        plan: the study's plan.
        train: stands in for a training; returns the outcome of a config, with the accuracy on
            test data if its second argument is true.
    """

    def __init__(
        self,
        folder: Path,
        request: StudyRequest,
        plan: Plan,
        train: Callable[[RunConfig, bool], Outcome] = outcome_of,
    ) -> None:
        self._train = train
        database = Database(f"sqlite:///{folder}/hamtune.sqlite3")
        migrate(database)
        self.storage = Storage(database, max_attempts=1000)
        self.plan = plan
        self.study_id = self.storage.studies.submit(request, plan)[0].id
        self._optuna = open_optuna_storage(f"sqlite:///{folder}/optuna.sqlite3")
        self.lease: StudyLease

    def new_runner(self) -> StudyExecution:
        """Claim the study for the next runner, which knows only the database."""
        return self.execution_of("study")

    def execution_of(self, optuna_name: str) -> StudyExecution:
        """Claim the next study in the queue; ``optuna_name`` is its name in Optuna's storage."""
        claimed = self.storage.queue.claim("test", LEASE)
        assert claimed is not None
        self.lease = claimed[1]
        search = OptunaSearch(self._optuna, optuna_name, self.plan)
        return StudyExecution(self.storage, self.lease, self.plan, search)

    def lose_runner(self) -> None:
        self.storage.queue.release(self.lease, "lost")

    def runs(self) -> list[Run]:
        return self.storage.runs.of_study(self.study_id)

    def optuna_trials(self) -> list[FrozenTrial]:
        return optuna.load_study(study_name="study", storage=self._optuna).trials

    def recommendation(self) -> NewRecommendation:
        return recommend(self.plan, self.runs())

    def finish(self, execution: StudyExecution, assignment: TrainingAssignment) -> None:
        """Train an assignment and report its outcome."""
        execution.report(assignment.run_id, metrics(1, 0.5))
        execution.end(assignment.run_id, self._train(assignment.config, assignment.measure_test))

    def drive(self, execution: StudyExecution, slots: int = 2) -> None:
        """Finish the study like a cluster that runs ``slots`` trainings at the same time."""
        running: list[TrainingAssignment] = []
        while not execution.finished:
            while len(running) < slots and (assignment := execution.next()):
                running.append(assignment)
            if running:
                self.finish(execution, running.pop(0))

    def drive_cut_short(self, cuts: Iterable[tuple[int, int]]) -> None:
        """Finish the study with one slot and runners that are lost.

        Args:
            cuts: for each lost runner, the number of trainings that it finishes and the number of
                further ones that run when it is lost.
        """
        for finished, running in cuts:
            execution = self.new_runner()
            for _ in range(finished):
                if assignment := execution.next():
                    self.finish(execution, assignment)
            for _ in range(running):
                execution.next()
            self.lose_runner()
        self.drive(self.new_runner(), slots=1)
