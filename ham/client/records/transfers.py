"""Recommendations for untuned combinations, from similar combinations or from the paper."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.combinations import StoredCombination
from ham.client.records.external_results import PublishedResult
from ham.client.records.recommendations import Grade
from ham.client.records.surfaces import Expectation
from ham.config import Combination, HamConfig


class TunedNeighbour(BaseModel):
    """A tuned combination that a transferred recommendation is based on."""

    model_config = ConfigDict(frozen=True)

    combination: StoredCombination
    distance: float = Field(
        description="1 for another model, dataset or sparsifier (0.5 within its family), 0.5 for "
        "a tenfold density or learning rate."
    )
    grade: Grade
    setting: HamConfig = Field(description="Configuration that is recommended for it.")
    recommendation_id: str


class TransferredRecommendation(BaseModel):
    """A configuration transferred from similar combinations; nothing was trained for this one."""

    model_config = ConfigDict(frozen=True)

    grade: Literal[Grade.TRANSFERRED] = Grade.TRANSFERRED
    combination: Combination
    setting: HamConfig = Field(
        description="The recommended configuration; (0, 0) if no gain is expected."
    )
    expected_gain: Expectation = Field(
        description="Expected gain in validation accuracy over the baseline, without HAM, a "
        "fraction, with the 95 % interval for the gain of one more combination like the "
        "neighbours."
    )
    portfolio: tuple[HamConfig, ...] = Field(
        description="Configurations to try in this order, if a few trainings are possible."
    )
    neighbours: tuple[TunedNeighbour, ...] = Field(description="Nearest first.")
    message: str = Field(description="Summary of the evidence in one sentence.")


class PaperRecommendation(BaseModel):
    """The paper's default, if nothing else is known; nothing was trained for this one."""

    model_config = ConfigDict(frozen=True)

    grade: Literal[Grade.PAPER] = Grade.PAPER
    combination: Combination
    setting: HamConfig = Field(description="Default of the paper's authors.")
    published: tuple[PublishedResult, ...] = Field(
        description="Published results of the same model, dataset, sparsifier and sparsity."
    )
    message: str = Field(description="Summary of what is known in one sentence.")


Untuned = Annotated[TransferredRecommendation | PaperRecommendation, Field(discriminator="grade")]
"""Recommendation of a combination that has not been tuned."""
