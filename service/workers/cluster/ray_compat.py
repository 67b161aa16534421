"""The private and undocumented names of Ray that this project uses, all in this module.

Each name here comes with a sentence on what breaks without it, and has a test in
``tests/service/workers/cluster/test_ray_compat.py``. ``pyproject.toml`` bounds Ray from above for
the same reason. Parts of Tune are imported inside functions, since the worker pool imports this
module, and the import of Tune takes seconds.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from ray import ObjectRef, tune
    from ray.train._internal.session import _TrainingResult
    from ray.train._internal.storage import StorageContext as StorageContext

    TrainingResult = _TrainingResult

RAY_COMMAND = (sys.executable, "-m", "ray.scripts.scripts")
"""Ray's command line. Without the module, a scheduler process cannot join a cluster as a node."""

SHOULD_CHECKPOINT = "should_checkpoint"
"""Key of a result after which Tune saves. Without it, Tune saves no checkpoint of long epochs."""

ENVIRONMENT = {
    # Without this, Ray reports usage statistics to its makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without this, Tune writes files of results that nobody reads.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Without this, an older rule of Ray may hide all GPUs from processes that hold none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Without this, Tune prints tables: only its older output is silent at verbose=0.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Without this, relative paths change their meaning inside trainables.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Without this, Tune keeps writing its own state, which the database makes superfluous.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    # Without this, Tune starts one trainable at a time: this many may start at once.
    "TUNE_MAX_PENDING_TRIALS_PG": "64",
    # Without a value above 1, Tune never calls `Trainable.train_buffered`.
    "TUNE_RESULT_BUFFER_LENGTH": "1000",
}
"""Environment variables that Ray reads, with the values that this project needs."""

_COMPLAINING_LOGGERS = ("ray.tune.analysis.experiment_analysis", "ray.tune.tune")
"""Loggers of Tune. Without these names, Tune complains about result files that nobody wrote."""


def configure_ray() -> None:
    """Set the environment variables that are not set yet, and silence Tune's complaints."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _COMPLAINING_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def call_when_ready(actor: Any) -> ObjectRef[Any]:
    """Return a reference that is resolved once the actor runs, and fails if the actor is dead.

    ``__ray_ready__`` exists on every actor. Without it, the pool does not notice that the holder
    of a worker lease has died, and the worker stays leased for ever.
    """
    reference: ObjectRef[Any] = actor.__ray_ready__.remote()
    return reference


def result_without_checkpoint() -> TrainingResult:
    """Return what ``Trainable.save`` returns if saving has failed.

    Without ``_TrainingResult``, Tune takes a failed saving for a failed training.
    """
    from ray.train._internal.session import _TrainingResult  # lazy: imports Tune

    return _TrainingResult(None, {})


def storage_of_a_run(folder: str, study: str, run: str, files: FileSystem) -> StorageContext:
    """Return a storage with which Tune saves to ``folder/study/run`` of a file system.

    Without ``StorageContext``, Tune saves to a folder that is named after the runner, and the
    next runner does not find the checkpoints.
    """
    from ray.train._internal.storage import StorageContext  # lazy: imports Tune

    return StorageContext(folder, study, storage_filesystem=files, trial_dir_name=run)


def set_storage(trainable: tune.Trainable, storage: StorageContext | None) -> None:
    """Let a trainable save to this storage; None: it saves nothing.

    Without ``Trainable._storage``, Tune saves to the runner's folder, see
    :func:`storage_of_a_run`.
    """
    trainable._storage = storage


def last_number(storage: StorageContext) -> int:
    """Return the number of the checkpoint that was saved or read last.

    Without ``current_checkpoint_index``, older checkpoints cannot be told from the newest, and
    numbers begin again at 0 under the next runner.
    """
    number: int = storage.current_checkpoint_index
    return number


def checkpoint_at(storage: StorageContext, number: int) -> tune.Checkpoint:
    """Return the checkpoint with this number; later ones are numbered from it.

    Without ``checkpoint_fs_path`` and ``storage_filesystem``, a training whose checkpoints are in
    a bucket starts anew under the next runner.
    """
    from ray import tune  # lazy: see the module

    storage.current_checkpoint_index = number
    return tune.Checkpoint(storage.checkpoint_fs_path, storage.storage_filesystem)


def keep_idle_trainables(controller: Any, trial: Any, more: int) -> None:
    """Let Tune keep ``more`` further trainables that have nothing to do, instead of ending them.

    Tune passes its ``TuneController`` in a ``TrialRunnerWrapper``, as ``_tune_controller``.
    Without ``_actor_cache`` of the controller, Tune ends all idle trainables but one, and
    starting one takes about a second.
    """
    inner = getattr(controller, "_tune_controller", controller)
    inner._actor_cache.increase_max(trial.placement_group_factory, more)
