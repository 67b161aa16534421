"""One training as a Ray Tune trainable: a step is an epoch, the actor serves many trainings.

Records travel as JSON text, since Tune flattens nested results.
"""

from __future__ import annotations

import json
import math
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray import tune

from ham.config import RunConfig
from ham.errors import DivergedRun

if TYPE_CHECKING:
    from ham.training import RunResult, Training

METRIC = "validation_accuracy"
EPOCH = "epoch_metrics"
OUTCOME = "outcome"


class TrainRun(tune.Trainable):
    """Trains what its config names.

    An error of the training is a result like any other, with its reason. So whatever Tune sees
    as a failure is a lost worker, the one cause worth a retry.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the first training of this actor."""
        self._training: Training | None = None
        self._prepare(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the next training in the same process: torch and data stay loaded."""
        self._prepare(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; the last one also returns the outcome."""
        try:
            if self._training is None:
                self._training = _begin_training(self._run)
            report = self._training.run_epoch()
            result: dict[str, Any] = {
                METRIC: report.validation_accuracy,
                EPOCH: json.dumps(asdict(report)),
                "done": self._training.finished,
            }
            if self._training.finished:
                result[OUTCOME] = self._outcome()
            return result
        except DivergedRun as error:
            return _failed(f"diverged: {error}")
        except Exception as error:
            traceback.print_exc()
            return _failed(f"{type(error).__name__}: {error}")

    def _prepare(self, config: dict[str, Any]) -> None:
        self._run = RunConfig.from_json(config["run"])
        self._measure_test = config["measure_test"]
        self._training = None

    def _outcome(self) -> str:
        assert self._training is not None
        return outcome_of(self._training.finish(measure_test=self._measure_test))


def outcome_of(result: RunResult) -> str:
    """Return what is stored of a finished training, as JSON of an Outcome."""
    facts = result.to_json()
    facts["measures"]["sparsity"] = facts.pop("sparsity")
    return json.dumps(facts)


def _begin_training(run: RunConfig) -> Training:
    from ham.training import Training  # lazy: the driver reads this file and needs no torch

    return Training(run)


def _failed(reason: str) -> dict[str, Any]:
    return {METRIC: math.nan, "done": True, OUTCOME: json.dumps({"error": reason})}
