"""Opens Optuna's storage with the options that the service needs."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from service.storage.engine.database import write_ahead
from service.workers.study.optuna_compat import store_intermediate_values


def open_optuna_storage(url: str) -> optuna.storages.RDBStorage:
    """Open Optuna's storage at a SQLAlchemy URL; make its tables if they are missing."""
    if not url.startswith("sqlite"):
        return optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 30}})
    write_ahead(storage.engine)
    storage.remove_session()
    storage.engine.dispose()  # so that the next connection is configured
    return storage


def write_curve(
    storage: optuna.storages.BaseStorage, trial_id: int, values: Mapping[int, float]
) -> None:
    """Store values of a running trial by their step, in one transaction if the storage can."""
    if isinstance(storage, optuna.storages.RDBStorage):
        store_intermediate_values(storage, trial_id, values)
        return
    for step, value in values.items():
        storage.set_trial_intermediate_value(trial_id, step, value)
