"""Budget limits and the reuse of runs, on the real execution, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from ham.client.records import Budget, Purpose, Run, RunState, StudyRequest
from ham.errors import InvalidConfig
from service.domain.evidence.recommendations import recommend
from service.domain.planning.plans import resolve
from service.domain.planning.stage_sizes import stage_sizes
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from service.workers.study.assignments import TrainingAssignment
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import open_search
from tests.conftest import MovableClock
from tests.service.builders import claim
from tests.service.workers.conftest import SMALL, metrics, outcome_of
from tests.service.workers.simulation import claim_study

EPOCHS = 15
SECONDS_PER_RUN = 10
LATER = sum(stage_sizes(SMALL, ())[1:]) + 2 * (SMALL.screening_seeds + SMALL.confirmation_seeds)


@pytest.fixture
def storage(tmp_path: Path, clock: MovableClock) -> Storage:
    database = Database(f"sqlite:///{tmp_path}/hamtune.sqlite3")
    migrate(database)
    return Storage(database, clock=clock)


Play = Callable[..., list[Run]]


@pytest.fixture
def play(storage: Storage, clock: MovableClock, request_: StudyRequest) -> Play:
    """Run one study to its end, one training at a time, each of 10 seconds."""

    def run(
        lose_runner_after: int | None = None, device: str = "none", **changes: Any
    ) -> list[Run]:
        budget = Budget.model_validate(SMALL.model_dump() | changes.pop("budget", {}))
        request = request_.model_copy(update={"budget": budget, **changes})
        study, lease = claim_study(storage, request)
        in_memory = optuna.storages.InMemoryStorage()

        def new_runner() -> StudyExecution:
            search = open_search(in_memory, study.id, study.plan)
            return StudyExecution(storage, lease, study.plan, search, clock)

        execution, trained = new_runner(), 0
        while not execution.finished:
            assignment = execution.next()
            assert assignment is not None or execution.finished
            if assignment is not None:
                train(execution, assignment, clock, device)
                trained += 1
            if trained == lose_runner_after:
                storage.queue.release(lease, "lost")
                _, lease = claim(storage, "next")
                execution = new_runner()
        runs = storage.runs.of_study(study.id)
        try:
            storage.queue.succeed(lease, recommend(study.plan, runs))
        except Exception:
            storage.queue.fail(lease, "nothing to recommend")
        return runs

    return run


def train(
    execution: StudyExecution, assignment: TrainingAssignment, clock: MovableClock, device: str
) -> None:
    execution.report(assignment.run_id, metrics(1, 0.5))
    clock.advance(SECONDS_PER_RUN)
    outcome = outcome_of(assignment.config, assignment.measure_test)
    execution.end(
        assignment.run_id, outcome.model_copy(update={"environment": {"device": device}})
    )


def epochs(runs: list[Run]) -> int:
    return sum(run.epochs_done for run in runs if run.reused_from is None)


def purposes(runs: list[Run], purpose: Purpose) -> list[Run]:
    return [run for run in runs if run.purpose == purpose]


def test_an_epoch_limit_ends_the_search_and_leaves_the_confirmation_complete(play: Play) -> None:
    limit = (4 + LATER) * EPOCHS + EPOCHS - 1  # one epoch short of a fifth trial
    runs = play(budget={"max_epochs": limit})
    assert len(purposes(runs, Purpose.SEARCH)) == 4
    assert epochs(runs) <= limit
    confirmed = purposes(runs, Purpose.CONFIRMATION)
    assert len(confirmed) == 3 * len({run.setting for run in confirmed})


def test_an_epoch_limit_holds_although_a_runner_is_lost(play: Play) -> None:
    limit = (4 + LATER) * EPOCHS
    whole = play(budget={"max_epochs": limit}, replicate=True)
    cut = play(budget={"max_epochs": limit}, replicate=True, lose_runner_after=7)
    assert max(epochs(cut), epochs(whole)) <= limit
    assert len(purposes(cut, Purpose.SEARCH)) == len(purposes(whole, Purpose.SEARCH))


def test_a_limit_on_wall_time_is_kept_to_within_one_training(
    play: Play, clock: MovableClock
) -> None:
    began = clock.now
    runs = play(budget={"max_seconds": (4 + LATER) * SECONDS_PER_RUN, "trials": 50})
    assert 3 <= len(purposes(runs, Purpose.SEARCH)) <= 5
    assert purposes(runs, Purpose.CONFIRMATION)
    spent = (clock.now - began).total_seconds()
    assert spent <= (5 + LATER) * SECONDS_PER_RUN


def test_a_study_with_a_tiny_limit_on_wall_time_ends_after_one_training(play: Play) -> None:
    assert len(play(budget={"max_seconds": 0.5})) == 1


def test_an_epoch_limit_that_leaves_no_search_is_refused_with_the_epochs_needed(
    request_: StudyRequest,
) -> None:
    budget = SMALL.model_copy(update={"max_epochs": 3 * EPOCHS})
    needed = (3 + LATER) * EPOCHS
    with pytest.raises(InvalidConfig, match=f"take {needed} epochs"):
        resolve(request_.model_copy(update={"budget": budget}))
    enough = SMALL.model_copy(update={"max_epochs": needed})
    assert resolve(request_.model_copy(update={"budget": enough})).expected_epochs == needed


def test_a_second_study_reuses_all_runs_of_the_first(play: Play) -> None:
    """It may screen other configurations, since it knows the results of the first study."""
    first, second = play(), play()
    known = {(run.setting, run.seed, run.purpose) for run in first}
    again = [run for run in second if (run.setting, run.seed, run.purpose) in known]
    trained = [run for run in again if run.reused_from is None]
    assert len(trained) == 1  # it shows that code, data and device are the same
    assert len(again) > len(second) / 2
    facts = {"setting", "seed", "purpose", "validation_accuracy", "test_accuracy", "epochs_done"}
    originals = {run.id: run for run in first}
    for run in again[1:]:
        assert run.reused_from is not None
        original = originals[run.reused_from]
        assert run.model_dump(include=facts) == original.model_dump(include=facts)
        assert run.seconds == 0


def test_a_run_at_another_learning_rate_is_not_reused(play: Play) -> None:
    play()
    joint = {"tune": ("learning_rate",), "budget": {"trials": 3}}
    runs, again = play(**joint), play(**joint)
    search = [run for run in runs if run.purpose == Purpose.SEARCH]
    assert [run.setting.is_baseline for run in search] == [False, True] * 3
    assert all(run.setting.learning_rate == 1 for run in runs if run.reused_from)
    assert any(run.setting.learning_rate != 1 for run in runs)
    others = [run for run in runs if run.setting.learning_rate != 1]
    assert not any(run.reused_from for run in others)
    searched = purposes(again, Purpose.SEARCH)
    assert [run.setting for run in searched] == [run.setting for run in search]
    assert all(run.reused_from for run in searched[1:]), "the first run shows its environment"


def test_replicate_trains_every_run_again(play: Play) -> None:
    assert not [run for run in play() + play(replicate=True) if run.reused_from]


def test_a_run_of_other_code_or_another_device_is_never_reused(play: Play) -> None:
    assert not [run for run in play() + play(device="another") if run.reused_from]


def test_a_reused_run_has_the_curve_of_its_original(play: Play, storage: Storage) -> None:
    first, second = play(), play()
    reused = next(run for run in second if run.reused_from)
    assert storage.runs.curve(reused.id) == storage.runs.curve(reused.reused_from or "")
    assert reused.state == RunState.SUCCEEDED
    searched = [purposes(runs, Purpose.SEARCH) for runs in (first, second)]
    assert len(searched[0]) == len(searched[1])
