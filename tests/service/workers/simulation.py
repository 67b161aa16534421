"""Simulates trainings epoch by epoch on the real execution and Optuna, without Ray."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from datetime import timedelta

import optuna

from ham.client.records import Purpose, Run, Study, StudyRequest
from ham.config import RunConfig
from service.domain.planning.plans import resolve
from service.records import Outcome, StudyLease
from service.storage import Storage
from service.workers.study.assignments import TrainingAssignment
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import open_search
from tests.service.workers.conftest import metrics

Curve = Callable[[RunConfig, int], float]
"""Returns the validation accuracy of a config after an epoch; its exception is a crash."""
LEASE = timedelta(hours=1)
ENVIRONMENT = {"device": "none"}
_names = itertools.count()


def claim_study(storage: Storage, request: StudyRequest) -> tuple[Study, StudyLease]:
    """Queue a study in a database whose queue is empty, and claim it."""
    storage.studies.submit(request, resolve(request))
    claimed = storage.queue.claim("test", LEASE)
    assert claimed is not None
    return claimed


class Simulation:
    """One study whose trainings are simulated by a function.

    Args:
        storage: the service's storage.
        request: the study's request; it is queued and claimed at once.
        curve: gives the accuracies that trainings report.

    Attributes:
        assigned: ids of the runs in the order in which they began or resumed.
    """

    def __init__(self, storage: Storage, request: StudyRequest, curve: Curve) -> None:
        self.storage = storage
        study, self.lease = claim_study(storage, request)
        self.plan, self.study_id = study.plan, study.id
        self._curve = curve
        self.assigned: list[str] = []
        self._optuna = optuna.storages.InMemoryStorage()
        self._name = f"study {next(_names)}"

    def search(self, slots: int = 2) -> None:
        """Run all search trials, ``slots`` at the same time, one epoch of each in turns."""
        optuna_search = open_search(self._optuna, self._name, self.plan)
        execution = StudyExecution(self.storage, self.lease, self.plan, optuna_search)
        running: list[Iterator[None]] = []
        while optuna_search.asked < self.plan.search_trials or running:
            while len(running) < slots and optuna_search.asked < self.plan.search_trials:
                assignment = execution.next()
                assert assignment is not None
                running.append(self._train(execution, assignment))
            running = [training for training in running if next(training, True) is None]

    def run(self, slots: int = 2) -> StudyExecution:
        """Run the study to its end."""
        search = open_search(self._optuna, self._name, self.plan)
        execution = StudyExecution(self.storage, self.lease, self.plan, search)
        running: list[Iterator[None]] = []
        while not execution.finished:
            while len(running) < slots and (assignment := execution.next()):
                running.append(self._train(execution, assignment))
            running = [training for training in running if next(training, True) is None]
        return execution

    def runs(self) -> list[Run]:
        """Return the search runs."""
        return self.storage.runs.of_study(self.study_id, Purpose.SEARCH)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials in Optuna that have begun."""
        waiting = optuna.trial.TrialState.WAITING
        return [trial for trial in self.optuna_study().trials if trial.state != waiting]

    def optuna_study(self) -> optuna.Study:
        """Return the study in Optuna, as the dashboard shows it."""
        return optuna.load_study(study_name=self._name, storage=self._optuna)

    def _train(self, execution: StudyExecution, assignment: TrainingAssignment) -> Iterator[None]:
        config, curve = assignment.config, []
        self.assigned.append(assignment.run_id)
        for epoch in range(1, config.recipe.epochs + 1):
            try:
                accuracy = self._curve(config, epoch)
            except Exception as error:
                execution.end(assignment.run_id, Outcome(error=str(error)))
                return
            curve.append(metrics(epoch, accuracy))
            if not math.isfinite(accuracy):
                execution.end(assignment.run_id, Outcome(validation_accuracy=accuracy))
                return
            verdict = execution.report(assignment.run_id, curve[-1])
            if verdict.stop:
                execution.stop(assignment.run_id, verdict, ENVIRONMENT)
                return
            yield
        outcome = Outcome(
            validation_accuracy=accuracy,
            test_accuracy=accuracy if assignment.measure_test else None,
            curve=tuple(curve),
            seconds=1,
        )
        execution.end(assignment.run_id, outcome)
