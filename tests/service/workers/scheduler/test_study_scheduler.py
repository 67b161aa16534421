"""The study scheduler, with real child processes instead of runners."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ham.client.records import StudyState
from service.settings import Settings
from service.storage import Storage
from service.workers.scheduler.processes import NO_CLUSTER, PAUSE_AFTER_FAILURE
from service.workers.scheduler.study_scheduler import ClusterLost, StudyScheduler
from tests.conftest import MovableClock
from tests.service.builders import submit
from tests.waiting import wait_until


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is started instead of a runner."""
    program = tmp_path / "runner"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return program


@pytest.fixture
def scheduler(storage: Storage, settings: Settings, runner: Path) -> StudyScheduler:
    return StudyScheduler(storage, settings, "nowhere")


def state(storage: Storage, study_id: str) -> StudyState:
    return storage.studies.get(study_id).state


def step_until_given_back(scheduler: StudyScheduler, storage: Storage, study_id: str) -> None:
    def is_given_back() -> bool:
        scheduler.step()
        return state(storage, study_id) != StudyState.RUNNING

    wait_until(is_given_back)


def test_a_study_whose_runner_always_breaks_down_fails_with_the_reason(
    scheduler: StudyScheduler, storage: Storage, clock: MovableClock
) -> None:
    study_id = submit(storage)
    for attempt in range(1, 6):
        assert scheduler.step()
        assert storage.studies.get(study_id).attempts == attempt
        step_until_given_back(scheduler, storage, study_id)
        assert not scheduler.step(), "the next attempt comes after a pause"
        clock.advance(PAUSE_AFTER_FAILURE.total_seconds())
    scheduler.step()
    study = storage.studies.get(study_id)
    assert study.state == StudyState.FAILED
    assert study.error is not None
    assert "status 7" in study.error


def test_an_unreachable_cluster_costs_a_study_no_attempt(
    storage: Storage, settings: Settings, runner: Path, clock: MovableClock
) -> None:
    runner.write_text(f"#!/bin/sh\nexit {NO_CLUSTER}\n")
    study_id = submit(storage)
    remote = StudyScheduler(
        storage, settings.model_copy(update={"ray_address": "ray:6379"}), "ray:6379"
    )
    for _ in range(settings.max_attempts + 1):
        assert remote.step()
        step_until_given_back(remote, storage, study_id)
        assert storage.studies.get(study_id).attempts == 0
        clock.advance(PAUSE_AFTER_FAILURE.total_seconds())
    assert "ray:6379" in (storage.studies.get(study_id).error or "")

    local = StudyScheduler(storage, settings, "127.0.0.1:6379")
    assert local.step()
    with pytest.raises(ClusterLost):
        wait_until(local.step)


def test_a_living_runner_keeps_its_study_lease_and_a_stopped_one_gives_the_study_back(
    scheduler: StudyScheduler, storage: Storage, settings: Settings, runner: Path
) -> None:
    runner.write_text("#!/bin/sh\nexec sleep 60\n")
    study_id = submit(storage)
    assert scheduler.step()
    assert not scheduler.step()
    assert state(storage, study_id) == StudyState.RUNNING
    scheduler.stop()
    assert state(storage, study_id) == StudyState.QUEUED


def test_at_most_the_allowed_number_of_studies_run_at_the_same_time(
    scheduler: StudyScheduler, storage: Storage, settings: Settings, runner: Path
) -> None:
    runner.write_text("#!/bin/sh\nexec sleep 60\n")
    ids = [submit(storage) for _ in range(settings.concurrent_studies + 1)]
    while scheduler.step():
        pass
    assert [state(storage, id) for id in ids] == [
        *[StudyState.RUNNING] * settings.concurrent_studies,
        StudyState.QUEUED,
    ]
    scheduler.stop()
