"""The Tune adapter: a study execution as Tune's searcher, without Ray."""

from __future__ import annotations

import json

import optuna

from ham.client.records import Plan, RunState, StudyRequest
from ham.config import RunConfig
from service.storage import Storage
from service.workers.cluster.trainable import OUTCOME
from service.workers.cluster.tune_adapter import StudySearcher
from service.workers.cluster.worker_pool import WorkersLost
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import OptunaSearch
from tests.service.workers.conftest import outcome_of
from tests.service.workers.simulation import LEASE, claim_study


def test_a_training_that_is_lost_with_its_cluster_is_assigned_again(
    storage: Storage, request_: StudyRequest, plan: Plan
) -> None:
    _, lease = claim_study(storage, request_)
    optuna_storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(optuna_storage, "study", plan)
    searcher = StudySearcher(StudyExecution(storage, lease, plan, search))
    run_id = searcher.suggest("trial")["run_id"]
    searcher.on_trial_complete("trial", error=True)
    assert isinstance(searcher.error, WorkersLost)
    assert storage.runs.get(run_id).state == RunState.RUNNING
    assert searcher.suggest("another") == StudySearcher.FINISHED
    assert not searcher.over, "its checkpoints are kept"

    storage.queue.release(lease, "Ray was lost", lost=True)
    claimed = storage.queue.claim("another runner", LEASE)
    assert claimed is not None
    search = OptunaSearch(optuna_storage, "study", plan)
    again = StudySearcher(StudyExecution(storage, claimed[1], plan, search))
    assert again.suggest("trial")["run_id"] == run_id


def test_the_next_training_is_chosen_while_all_workers_train(
    storage: Storage, request_: StudyRequest, plan: Plan
) -> None:
    _, lease = claim_study(storage, request_)
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "study", plan)
    searcher = StudySearcher(StudyExecution(storage, lease, plan, search))

    def end(trial: str) -> None:
        run = RunConfig.from_json(suggested[trial]["run"])
        outcome = outcome_of(run, measure_test=False)
        searcher.on_trial_complete(trial, {OUTCOME: json.dumps(outcome.model_dump(mode="json"))})

    suggested = {trial: searcher.suggest(trial, 2) for trial in ("a", "b")}
    assert searcher.suggest("c", 2) is None
    assert not searcher.ready, "the time of a training is not known yet"
    end("a")
    suggested["c"] = searcher.suggest("c", 2)
    assert searcher.suggest("d", 2) is None
    assert searcher.ready
    begun = len(storage.runs.of_study(lease.study_id))
    end("b")
    suggested["d"] = searcher.suggest("d", 2)
    assert len(storage.runs.of_study(lease.study_id)) == begun == 4
    assert len({config["run_id"] for config in suggested.values()}) == 4
    assert not searcher.ready
