"""Early stopping on a real Ray: Tune stops trials, and both databases store them as pruned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ham.client.records import Purpose, RunState
from service.settings import Settings
from service.storage import Database, Storage
from tests.service.workers.ray_study import EPOCHS, HERE, TRIALS

SAME = {
    TrialState.COMPLETE: RunState.SUCCEEDED,
    TrialState.PRUNED: RunState.PRUNED,
    TrialState.FAIL: RunState.FAILED,
}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_tune_stops_weak_trials_and_optuna_stores_their_true_fidelity(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.service.workers.ray_study", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database)
    storage = Storage(database)
    (study,) = storage.studies.list()
    runs = {run.trial_number: run for run in storage.runs.of_study(study.id, Purpose.SEARCH)}
    trials = optuna.load_study(study_name="study", storage=settings.optuna_database).trials
    database.close()
    assert len(trials) == len(runs) == TRIALS
    for trial in trials:
        run = runs[trial.number]
        assert run.state == SAME[trial.state]
        assert run.epochs_done == (trial.last_step or 0)
        assert (trial.last_step == EPOCHS) == (trial.state == TrialState.COMPLETE)
    pruned = [run for run in runs.values() if run.state == RunState.PRUNED]
    assert len(pruned) >= 2
    assert all(run.environment == HERE for run in pruned)
