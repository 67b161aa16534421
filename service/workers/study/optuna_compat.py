"""The private and undocumented names of Optuna that this project uses, all in this module.

Each function says what breaks without its names, and has a test in
``tests/service/workers/study/test_optuna_compat.py``. ``pyproject.toml`` bounds Optuna from above
for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session


def study_id(study: Any) -> int:
    """Return the number of an ``optuna.Study`` or ``FrozenStudy`` in its storage.

    Without their ``_study_id``, the list of first trials cannot be stored with the study, and
    trials cannot be found by their number.
    """
    return int(study._study_id)


def trial_of(study: optuna.Study, trial_id: int) -> optuna.Trial:
    """Return a running trial that another process has begun.

    Without the constructor of ``optuna.Trial``, which is not documented for users, the trials of
    a lost runner cannot be resumed.
    """
    return optuna.Trial(study, trial_id)


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Return a trial's value of a parameter, proposing it if it has none.

    Without ``Trial._suggest``, which takes a distribution, each kind of distribution would need
    the public method that builds it.
    """
    return trial._suggest(name, distribution)


def assign_generation(trial: optuna.Trial) -> None:
    """Give a trial that was enqueued its generation of NSGA-II.

    Reading ``relative_params`` has this effect. Without it, enqueued trials belong to no
    generation and never become parents.
    """
    _ = trial.relative_params


def store_intermediate_values(
    storage: optuna.storages.RDBStorage, trial_id: int, values: Mapping[int, float]
) -> None:
    """Store finite values of a running trial by their step, in one transaction.

    A step that is stored already keeps its value. Without the models and ``scoped_session`` of
    ``RDBStorage``, each value takes a transaction of its own, and 15 of them take longer than many
    trainings.

    Raises:
        optuna.exceptions.UpdateFinishedTrialError: the trial has ended.
    """
    with _create_scoped_session(storage.scoped_session) as session:
        trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
        storage.check_trial_is_updatable(trial_id, trial.state)  # type: ignore[arg-type]
        model = models.TrialIntermediateValueModel
        stored = {value.step for value in trial.intermediate_values}
        session.add_all(
            model(
                trial_id=trial_id,
                step=step,
                intermediate_value=value,
                intermediate_value_type=model.TrialIntermediateValueType.FINITE,
            )
            for step, value in values.items()
            if step not in stored
        )
