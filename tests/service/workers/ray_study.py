"""Searches with pretended trainings on a real Ray: ``python -m ...ray_study FOLDER``."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import ray
from ray import tune

from ham.client.records import Budget, StudyRequest
from ham.config import RunConfig
from service.records import Outcome
from service.settings import Settings
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from service.workers.cluster import connection
from service.workers.cluster.trainable import ENVIRONMENT, EPOCH, METRIC, OUTCOME
from service.workers.cluster.tune_adapter import StudySearcher, StudyTrialScheduler
from service.workers.study.execution import StudyExecution
from service.workers.study.optuna_search import OptunaSearch
from service.workers.study.optuna_storage import open_optuna_storage
from tests.service.workers.conftest import metrics
from tests.service.workers.simulation import claim_study

TRIALS = 40
EPOCHS = 15
HERE = {"device": "pretended"}


class Pretended(tune.Trainable):
    """Reports a rising curve in no time; trainings with a large beta diverge."""

    def setup(self, config: dict[str, Any]) -> None:
        self._run = RunConfig.from_json(config["run"])
        self._epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        ham_config = self._run.setting
        if ham_config.beta > 0.3:
            diverged = Outcome(error="diverged: loss is nan").model_dump_json()
            return {METRIC: math.nan, "done": True, OUTCOME: diverged}
        accuracy = (
            0.9 - 0.05 * abs(math.log10(max(ham_config.alpha, 0.5) / 30)) + 0.001 * self._epoch
        )
        done = self._epoch == EPOCHS
        result = {
            METRIC: accuracy,
            EPOCH: json.dumps(vars(metrics(self._epoch, accuracy))),
            ENVIRONMENT: json.dumps(HERE),
            "done": done,
        }
        if done:
            curve = [metrics(epoch, accuracy) for epoch in range(1, EPOCHS + 1)]
            outcome = Outcome(validation_accuracy=accuracy, curve=tuple(curve), seconds=1)
            result[OUTCOME] = outcome.model_dump_json()
        return result


class SearchOnly(StudyExecution):
    """An execution that is over when its search is."""

    @property
    def finished(self) -> bool:
        return self._search.asked >= TRIALS and not self._running

    def next(self, workers: float = math.inf) -> Any:
        return super().next(workers) if self._search.asked < TRIALS else None


def main(folder: Path) -> None:
    """Search; the results are in the databases in the folder."""
    settings = Settings(data_dir=folder, cpus=2)
    database = Database(settings.database)
    migrate(database)
    storage = Storage(database)
    budget = Budget(trials=TRIALS, early_stopping="asha")
    request = StudyRequest(
        model="digits_mlp", dataset="digits", sparsifier="random", sparsity=0.9, budget=budget
    )
    study, lease = claim_study(storage, request)
    search = OptunaSearch(open_optuna_storage(settings.optuna_database), "study", study.plan)
    searcher = StudySearcher(SearchOnly(storage, lease, study.plan, search))
    connection.start_local(settings)
    tune.Tuner(
        Pretended,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyTrialScheduler(searcher),
            num_samples=TRIALS,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "ray"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    ray.shutdown()
    if searcher.error is not None:
        raise searcher.error


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
