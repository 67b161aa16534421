"""What a study makes of what Tune tells it."""

from __future__ import annotations

import optuna

from service.records import Plan, RunState, StudyRequest
from service.storage import SqlStorage
from service.workers.course import Course
from service.workers.optuna_search import OptunaSearch
from service.workers.pool import WorkersLost
from service.workers.ray_searcher import CourseSearcher
from tests.service.workers.simulation import LEASE, claim_study


def test_a_training_that_is_lost_with_its_cluster_stays_to_be_done(
    storage: SqlStorage, request_: StudyRequest, plan: Plan
) -> None:
    _, claim = claim_study(storage, request_)
    optuna_storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(optuna_storage, "study", plan)
    searcher = CourseSearcher(Course(storage, claim, plan, search))
    run_id = searcher.suggest("trial")["run_id"]
    searcher.on_trial_complete("trial", error=True)
    assert isinstance(searcher.error, WorkersLost)
    assert storage.runs.get(run_id).state == RunState.RUNNING
    assert searcher.suggest("another") == CourseSearcher.FINISHED
    assert not searcher.over, "its states are kept"

    storage.queue.release(claim, "Ray was lost", lost=True)
    claimed = storage.queue.claim("another runner", LEASE)
    assert claimed is not None
    search = OptunaSearch(optuna_storage, "study", plan)
    again = CourseSearcher(Course(storage, claimed[1], plan, search))
    assert again.suggest("trial")["run_id"] == run_id
