"""Scheduler, runner, Ray and trainings as real processes, each test on one database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import update

from ham import RunConfig, train
from ham.client.records import (
    HELD,
    Budget,
    CombinationFilter,
    Command,
    Purpose,
    RunState,
    StudyRequest,
    StudyState,
)
from service.cli.scheduler_process import environment
from service.domain.evidence.pareto_fronts import build_pareto_front
from service.domain.evidence.recommendations import recommend
from service.domain.planning.plans import resolve
from service.settings import Settings
from service.storage import Database, Storage
from service.storage.tables import StudyRow
from service.workers.scheduler.runner import optuna_name
from service.workers.study.optuna_storage import open_optuna_storage
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

LEASE_SECONDS = 3600.0  # no lease runs out by itself, however slow the machine is
PAST = datetime(2020, 1, 1, tzinfo=UTC)
HELD_OR_QUEUED = (*HELD, StudyState.QUEUED)


class Workers:
    """The scheduler process and all processes that it starts, as one process group."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {
            **os.environ,
            **environment(settings),
            "HAMTUNE_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        self._log = settings.data_dir / "scheduler.log"

    def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.workers"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    def training(self) -> list[str]:
        """Return the command lines of this session's runners and of workers that train."""
        listing = subprocess.run(
            ["ps", "-s", str(self._process.pid), "-o", "stat=,args="],
            capture_output=True,
            text=True,
        )
        return [
            line
            for line in listing.stdout.splitlines()
            if not line.startswith("Z")
            and ("service.workers.scheduler.runner" in line or "Trainer.advance" in line)
        ]

    def wait_for(self, done: Callable[[], bool]) -> None:
        def is_done() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            return done()

        wait_until(is_done, reason=self._log.read_text)


def let_leases_run_out(storage: Storage) -> None:
    """Let every study lease end now, as if its time were over."""
    with storage.database.write() as session:
        session.execute(update(StudyRow).where(StudyRow.state.in_(HELD)).values(claimable_at=PAST))


@pytest.fixture
def workers(settings: Settings) -> Iterator[Workers]:
    workers = Workers(settings)
    workers.start()
    yield workers
    workers.stop()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_study_killed_in_the_middle_ends_and_ham_alone_reproduces_it(
    settings: Settings, database: Database, workers: Workers
) -> None:
    """After kill -9 of all processes, no run is lost and none is counted twice."""
    storage = Storage(database)
    request = StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier="random",
        sparsity=0.9,
        budget=Budget(trials=5, finalists=2, screening_seeds=1, confirmation_seeds=3),
    )
    study, _ = storage.studies.submit(request, resolve(request))

    def ended() -> dict[str, object]:
        runs = storage.runs.of_study(study.id)
        return {run.id: run for run in runs if run.state != RunState.RUNNING}

    workers.wait_for(lambda: len(ended()) >= 3)
    workers.kill()
    before = ended()
    let_leases_run_out(storage)
    workers.start()
    workers.wait_for(lambda: storage.studies.get(study.id).state != StudyState.RUNNING)

    finished = storage.studies.get(study.id)
    assert finished.state == StudyState.SUCCEEDED, finished.error
    assert finished.attempts == 2
    runs = storage.runs.of_study(study.id)
    assert before.items() <= {run.id: run for run in runs}.items()
    searched = [run for run in runs if run.purpose == Purpose.SEARCH]
    assert Counter(run.trial_number for run in searched) == Counter(range(5))
    assert not [run for run in runs if run.state == RunState.RUNNING]

    (stored,) = storage.recommendations.latest(CombinationFilter(model="digits_mlp"))
    assert recommend(study.plan, runs).model_dump() == stored.model_dump(
        exclude={"id", "combination", "study_id", "version", "created_at", "cost"}
    )
    tuned = next(each for each in stored.evidence if each.setting == stored.candidate)
    seed, accuracy = next(iter(tuned.test_accuracies.items()))
    plan = study.plan
    config = RunConfig(
        combination=plan.combination, recipe=plan.recipe, setting=stored.candidate, seed=seed
    )
    assert train(config, measure_test=True, device="cpu").test_accuracy == accuracy

    optuna_storage = open_optuna_storage(settings.optuna_database)
    trials = optuna.load_study(study_name=optuna_name(study), storage=optuna_storage).trials
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.COMPLETE] + states[TrialState.FAIL] == sum(states.values()) == 5
    for trial in trials:
        if trial.state == TrialState.COMPLETE:
            assert sorted(trial.intermediate_values) == list(range(1, plan.recipe.epochs + 1))
    optuna_storage.remove_session()
    optuna_storage.engine.dispose()


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_pause_lets_trainings_end_and_a_cancellation_frees_their_workers(
    settings: Settings, database: Database, workers: Workers
) -> None:
    """Both reach a study during its trainings; a resumed study continues."""
    storage = Storage(database)
    request = StudyRequest(model="digits_mlp", dataset="digits", sparsifier="dense")
    study, _ = storage.studies.submit(request, resolve(request))

    def state() -> StudyState:
        return storage.studies.get(study.id).state

    def runs(state: RunState) -> list[str]:
        return [run.id for run in storage.runs.of_study(study.id) if run.state == state]

    workers.wait_for(lambda: len(runs(RunState.SUCCEEDED)) >= 2)
    storage.studies.command(study.id, Command.PAUSE)
    workers.wait_for(lambda: state() == StudyState.PAUSED)
    assert not runs(RunState.RUNNING) and not runs(RunState.CANCELLED)
    ended = runs(RunState.SUCCEEDED)

    storage.studies.command(study.id, Command.RESUME)
    workers.wait_for(lambda: len(runs(RunState.SUCCEEDED)) > len(ended))
    workers.wait_for(lambda: bool(runs(RunState.RUNNING)))
    assert workers.training()
    storage.studies.command(study.id, Command.CANCEL)
    at = time.monotonic()
    workers.wait_for(lambda: not workers.training())
    print(f"its workers were gone {time.monotonic() - at:.1f} s after the cancellation")
    assert state() == StudyState.CANCELLED
    assert not runs(RunState.RUNNING)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_study_of_two_objectives_ends_with_a_pareto_front_that_ham_alone_reproduces(
    settings: Settings, database: Database, workers: Workers
) -> None:
    """Real trainings at two sparsities, searched, screened and confirmed."""
    storage = Storage(database)
    request = StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier="random",
        objectives=("accuracy", "training_flops"),
        sparsities=(0.5, 0.9),
        budget=Budget(trials=5, finalists=2, screening_seeds=1, confirmation_seeds=3),
    )
    study, _ = storage.studies.submit(request, resolve(request))
    workers.wait_for(lambda: storage.studies.get(study.id).state not in HELD_OR_QUEUED)
    finished = storage.studies.get(study.id)
    assert finished.state == StudyState.SUCCEEDED, finished.error
    runs = storage.runs.of_study(study.id)
    assert len(runs) <= study.plan.expected_runs
    for run in runs:
        assert run.measures.sparsity is not None
        assert run.measures.sparsity.target == run.sparsity
        assert run.measures.sparsity.realised == pytest.approx(run.sparsity, abs=0.01)
    stored = storage.pareto_fronts.of_study(study.id)
    assert stored is not None and not stored.provisional
    assert build_pareto_front(study.plan, runs).model_dump() == stored.model_dump(
        exclude={"study_id", "created_at"}
    )
    assert storage.recommendations.latest() == []
    point = stored.points[-1]
    confirmed = next(
        run
        for run in runs
        if run.purpose == Purpose.CONFIRMATION
        and (run.sparsity, run.setting) == (point.combination.sparsity, point.setting)
    )
    config = RunConfig(
        combination=point.combination,
        recipe=study.plan.recipe,
        setting=point.setting,
        seed=confirmed.seed,
    )
    again = train(config, measure_test=True, device="cpu")
    assert again.test_accuracy == confirmed.test_accuracy
    assert again.measures.training_flops == confirmed.measures.training_flops

    optuna_storage = open_optuna_storage(settings.optuna_database)
    searched = optuna.load_study(study_name=optuna_name(study), storage=optuna_storage)
    assert searched.metric_names == ["accuracy", "training_flops"]
    assert searched.best_trials, "the dashboard shows them as the Pareto front"
    optuna_storage.remove_session()
    optuna_storage.engine.dispose()
