"""Each private name of Optuna in ``optuna_compat`` still exists and does what is said there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sqlalchemy import event

from service.workers.study import optuna_compat
from service.workers.study.optuna_storage import open_optuna_storage


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.RDBStorage:
    return open_optuna_storage(f"sqlite:///{tmp_path}/optuna.sqlite3")


@pytest.fixture
def study(storage: optuna.storages.RDBStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="study")


def test_study_id_is_the_one_in_the_storage(
    study: optuna.Study, storage: optuna.storages.RDBStorage
) -> None:
    assert optuna_compat.study_id(study) == storage.get_study_id_from_name("study")


def test_trial_of_another_process_keeps_its_number_and_parameters(
    study: optuna.Study, storage: optuna.storages.RDBStorage
) -> None:
    begun = study.ask()
    value = begun.suggest_float("x", 0, 1)
    trial_id = storage.get_trial_id_from_study_id_trial_number(
        optuna_compat.study_id(study), begun.number
    )
    resumed = optuna_compat.trial_of(study, trial_id)
    assert (resumed.number, resumed.params) == (begun.number, {"x": value})
    assert resumed.suggest_float("x", 0, 1) == value


def test_suggested_value_fits_its_distribution_and_stays(study: optuna.Study) -> None:
    trial = study.ask()
    x = optuna_compat.suggest(trial, "x", FloatDistribution(1e-3, 1e3, log=True))
    choice = optuna_compat.suggest(trial, "choice", CategoricalDistribution(("a", "b")))
    assert 1e-3 <= x <= 1e3 and choice in ("a", "b")
    assert optuna_compat.suggest(trial, "x", FloatDistribution(1e-3, 1e3, log=True)) == x
    assert trial.params == {"x": x, "choice": choice}


def test_enqueued_trial_gets_its_generation(study: optuna.Study) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.NSGAIISampler(population_size=2, seed=0)
    study.enqueue_trial({"x": 0.5})
    trial = study.ask()
    optuna_compat.assign_generation(trial)
    assert study.trials[0].system_attrs["NSGAIISampler:generation"] == 0


def test_curve_is_stored_in_one_transaction_and_what_is_stored_stays(
    study: optuna.Study, storage: optuna.storages.RDBStorage
) -> None:
    trial = study.ask()
    trial.report(0.5, 1)
    study_id = optuna_compat.study_id(study)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    commits: list[Any] = []
    event.listen(storage.engine, "commit", commits.append)
    optuna_compat.store_intermediate_values(storage, trial_id, {1: 0.9, 2: 0.6, 3: 0.7})
    assert len(commits) == 1
    assert study.trials[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}
    study.tell(trial, 1.0)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        optuna_compat.store_intermediate_values(storage, trial_id, {4: 0.8})
