"""Each private name of Ray in ``ray_compat`` still exists and does what is said there."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest
import ray
from pyarrow.fs import LocalFileSystem
from ray import tune
from ray.actor import _modify_class
from ray.scripts import scripts
from ray.tune.execution import tune_controller
from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController
from ray.tune.trainable import trainable
from ray.tune.utils.object_cache import _ObjectCache

from service.workers.cluster import ray_compat


def test_ray_command_has_the_subcommands_that_start_and_check_a_node() -> None:
    assert ray_compat.RAY_COMMAND[1:] == ("-m", scripts.__name__)
    assert {"start", "health-check"} <= scripts.cli.commands.keys()


def test_should_checkpoint_is_tunes_key() -> None:
    assert ray_compat.SHOULD_CHECKPOINT == tune.result.SHOULD_CHECKPOINT


@pytest.fixture(scope="module")
def sources() -> str:
    """All Python sources of Ray that may read an environment variable of ours."""
    root = Path(ray.__file__).parent
    folders = ("tune", "train", "_private", "_common")
    return "".join(path.read_text() for name in folders for path in (root / name).rglob("*.py"))


@pytest.mark.parametrize("variable", ray_compat.ENVIRONMENT)
def test_every_environment_variable_is_still_read_by_ray(sources: str, variable: str) -> None:
    assert f'"{variable}"' in sources


def test_environment_is_set_where_the_operator_has_not_set_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "3")
    monkeypatch.delenv("RAY_AIR_NEW_OUTPUT", raising=False)
    ray_compat.configure_ray()
    search_algorithm: Any = SimpleNamespace()
    assert tune_controller._get_max_pending_trials(search_algorithm) == 3
    assert os.environ["RAY_AIR_NEW_OUTPUT"] == "0"


def test_buffered_results_come_from_train_buffered() -> None:
    assert "train_buffered" in inspect.getsource(TuneController._schedule_trial_train)
    assert int(ray_compat.ENVIRONMENT["TUNE_RESULT_BUFFER_LENGTH"]) > 1


@pytest.mark.parametrize("name", ray_compat._COMPLAINING_LOGGERS)
def test_every_silenced_logger_belongs_to_a_module_of_ray(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
    ray_compat.configure_ray()
    assert logging.getLogger(name).level == logging.CRITICAL


def test_every_actor_answers_when_it_is_ready() -> None:
    class Actor:
        """Any class."""

    assert _modify_class(Actor)().__ray_ready__() is True


def test_result_without_checkpoint_is_what_saving_returns() -> None:
    result = ray_compat.result_without_checkpoint()
    assert isinstance(result, get_type_hints(tune.Trainable.save)["return"])
    assert result.checkpoint is None


class Number(tune.Trainable):
    """Its checkpoint is one number."""

    number = 0

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "number").write_text(str(self.number))

    def load_checkpoint(self, checkpoint: str) -> None:  # type: ignore[override]
        self.number = int(Path(checkpoint, "number").read_text())


@pytest.fixture
def number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Number]:
    monkeypatch.setattr(trainable, "DEFAULT_STORAGE_PATH", str(tmp_path))
    number = Number()
    yield number
    number.stop()


def storage(folder: Path) -> Any:
    return ray_compat.storage_of_a_run(str(folder), "study", "run", LocalFileSystem())


def test_trainable_saves_to_the_folder_of_its_run_and_another_runner_finds_it(
    tmp_path: Path, number: Number
) -> None:
    own = storage(tmp_path)
    ray_compat.set_storage(number, own)
    for number.number in (7, 8):
        number.save(str(tmp_path / str(number.number)))
    assert ray_compat.last_number(own) == 1
    assert (tmp_path / "study/run/checkpoint_000001/number").read_text() == "8"

    next_runner = storage(tmp_path)
    number.restore(ray_compat.checkpoint_at(next_runner, 0))
    assert number.number == 7
    number.restore(ray_compat.checkpoint_at(next_runner, 1))
    assert number.number == 8
    ray_compat.set_storage(number, next_runner)
    number.save(str(tmp_path / "9"))
    assert ray_compat.last_number(next_runner) == 2, "numbers go on"
    assert (tmp_path / "study/run/checkpoint_000002/number").exists()


def test_trainable_without_storage_saves_nothing_of_its_own(
    tmp_path: Path, number: Number
) -> None:
    ray_compat.set_storage(number, None)
    number.save(str(tmp_path / "local"))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("wrapped", [True, False])
def test_more_idle_trainables_are_kept(wrapped: bool) -> None:
    assert "self._actor_cache = _ObjectCache(" in inspect.getsource(TuneController.__init__)
    cache = _ObjectCache(may_keep_one=True)
    controller: Any = SimpleNamespace(_actor_cache=cache)
    trial = SimpleNamespace(placement_group_factory=tune.PlacementGroupFactory([{"CPU": 1}]))
    given = TrialRunnerWrapper(controller, None) if wrapped else controller
    ray_compat.keep_idle_trainables(given, trial, 2)
    assert cache.total_max_objects == 2
