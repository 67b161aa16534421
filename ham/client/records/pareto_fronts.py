"""Pareto fronts: configurations of which none is better than another in both objectives."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.combinations import StoredCombination
from ham.client.records.recommendations import Estimate
from ham.client.records.studies import Objective
from ham.config import HamConfig


class ParetoPoint(BaseModel):
    """A configuration at a sparsity, with its cost and its accuracy."""

    model_config = ConfigDict(frozen=True)

    combination: StoredCombination = Field(
        description="Combination at the target sparsity of this point."
    )
    setting: HamConfig = Field(
        description="Configuration; (0, 0) if the baseline, without HAM, is on the front."
    )
    realised_sparsity: float | None = Field(
        description="Fraction of zero weights, averaged over its runs."
    )
    training_flops: float | None = Field(
        description="FLOPs of a whole training, averaged over its runs."
    )
    inference_flops: float | None = Field(
        description="FLOPs of one example, averaged over its runs."
    )
    validation_accuracy: float = Field(
        description="Mean validation accuracy in the screening, a fraction. It decided that the "
        "point is on the front."
    )
    test_accuracy: Estimate | None = Field(
        description="Test accuracy in the confirmation, with a 95 % interval of this point "
        "alone. Null if fewer than two of its runs have one."
    )
    gain: Estimate | None = Field(
        description="Test accuracy minus that of the baseline at the same sparsity, paired by "
        "seed. Null for the baseline itself and with fewer than three pairs. The intervals of "
        "all gains of a front hold together with 95 % confidence (Bonferroni)."
    )
    gain_shown: bool = Field(
        description="True if the whole interval of the gain is above zero and no run failed."
    )
    seeds: tuple[int, ...] = Field(description="Seeds of the test accuracy.")
    failed_runs: int = Field(description="Number of failed runs in screening and confirmation.")

    def measured(self, objective: Objective) -> float | None:
        """Return the mean of an objective other than accuracy; None if it was not measured."""
        name = "realised_sparsity" if objective == "sparsity" else objective
        found: float | None = getattr(self, name)
        return found


class NewParetoFront(BaseModel):
    """A Pareto front before it is stored."""

    model_config = ConfigDict(frozen=True)

    objectives: tuple[Objective, ...] = Field(
        description="`accuracy` and the objective that it is traded for."
    )
    provisional: bool = Field(
        description="True if there was no confirmation: nothing was measured on test data and no "
        "gain is claimed."
    )
    points: tuple[ParetoPoint, ...] = Field(
        description="Selected on validation data, sorted by rising sparsity or falling FLOPs. "
        "Points are not selected again by test accuracy, so one may dominate another by test "
        "accuracy."
    )
    message: str = Field(description="Summary of the front in one sentence.")


class ParetoFront(NewParetoFront):
    """A stored Pareto front. It never changes; another study makes another front."""

    study_id: str
    created_at: datetime
