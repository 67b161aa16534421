"""What a study of two objectives ends with: settings of which none is better in both."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.combinations import StoredCombination
from ham.client.records.recommendations import Estimate
from ham.client.records.studies import Objective
from ham.config import HamConfig


class ParetoPoint(BaseModel):
    """A setting at a sparsity: what it costs, and what it reaches."""

    model_config = ConfigDict(frozen=True)

    combination: StoredCombination = Field(description="At this point's target sparsity.")
    setting: HamConfig = Field(description="(0, 0) where no HAM itself is on the front.")
    realised_sparsity: float | None = Field(description="Mean over its runs.")
    training_flops: float | None = Field(description="Of a whole run, mean over its runs.")
    inference_flops: float | None = Field(description="Of one example, mean over its runs.")
    validation_accuracy: float = Field(
        description="Mean of the screening, which put the point on the front."
    )
    test_accuracy: Estimate | None = Field(
        description="Of the confirmation, with a 95 % interval of this point alone; null where "
        "fewer than two of its runs gave one."
    )
    gain: Estimate | None = Field(
        description="Test accuracy over no HAM at the same sparsity, paired by seed; null for no "
        "HAM itself and with fewer than three pairs. The intervals of all gains of a front hold "
        "together in 95 % of the cases (Bonferroni)."
    )
    gain_shown: bool = Field(
        description="True where the whole interval of the gain is above zero, and no run failed."
    )
    seeds: tuple[int, ...] = Field(description="Seeds of its test accuracy.")
    failed_runs: int = Field(description="Of screening and confirmation.")

    def measured(self, objective: Objective) -> float | None:
        """Return what accuracy is traded for, as it was measured."""
        name = "realised_sparsity" if objective == "sparsity" else objective
        found: float | None = getattr(self, name)
        return found


class NewParetoFront(BaseModel):
    """A Pareto front that a study has reached, before it is stored."""

    model_config = ConfigDict(frozen=True)

    objectives: tuple[Objective, ...] = Field(description="Accuracy, and what it is traded for.")
    provisional: bool = Field(
        description="True without a confirmation: nothing was measured on test data, no gain is "
        "claimed."
    )
    points: tuple[ParetoPoint, ...] = Field(
        description="Chosen on validation data, by rising sparsity or falling FLOPs; never chosen "
        "again by test accuracy, by which one may come to dominate another."
    )
    message: str = Field(description="The front in a sentence.")


class ParetoFront(NewParetoFront):
    """A stored front. It never changes; another study makes another."""

    study_id: str
    created_at: datetime
