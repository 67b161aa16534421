"""Optuna's storage, opened as the service needs it."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session

from service.storage.engine.database import write_ahead


class TrialStorage(optuna.storages.RDBStorage):
    """Optuna's own, which can also take a curve in one transaction.

    Optuna offers one value at a time: fifteen transactions take longer than many a training.
    """

    def set_trial_intermediate_values(self, trial_id: int, values: Mapping[int, float]) -> None:
        """Store finite values by their step; a step that is stored already keeps its value.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: the trial has ended.
        """
        with _create_scoped_session(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            self.check_trial_is_updatable(trial_id, trial.state)  # type: ignore[arg-type]
            model = models.TrialIntermediateValueModel
            stored = {row.step for row in trial.intermediate_values}
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


def open_optuna_storage(url: str) -> TrialStorage:
    """Open Optuna's storage, making its tables where they are missing."""
    if not url.startswith("sqlite"):
        return TrialStorage(url, engine_kwargs={"pool_pre_ping": True})
    storage = TrialStorage(url, engine_kwargs={"connect_args": {"timeout": 30}})
    write_ahead(storage.engine)
    storage.remove_session()
    storage.engine.dispose()  # so that the next connection is configured
    return storage


def write_curve(
    storage: optuna.storages.BaseStorage, trial_id: int, values: Mapping[int, float]
) -> None:
    """Store values by their step, at once where the storage can."""
    if isinstance(storage, TrialStorage):
        storage.set_trial_intermediate_values(trial_id, values)
        return
    for step, value in values.items():
        storage.set_trial_intermediate_value(trial_id, step, value)
