"""What similar combinations say about one that nobody has tuned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.combinations import StoredCombination
from ham.client.records.external_results import PublishedResult
from ham.client.records.recommendations import Grade
from ham.client.records.surfaces import Expectation
from ham.config import Combination, HamConfig


class TunedNeighbour(BaseModel):
    """A tuned combination that had a say."""

    model_config = ConfigDict(frozen=True)

    combination: StoredCombination
    distance: float = Field(
        description="1 for another model, dataset or sparsifier (0.5 within its family), 0.5 for "
        "a tenfold density or learning rate."
    )
    grade: Grade
    setting: HamConfig = Field(description="What is recommended for it.")
    recommendation_id: str


class TransferredRecommendation(BaseModel):
    """A setting carried over from similar combinations. Nothing was trained for this one."""

    model_config = ConfigDict(frozen=True)

    grade: Literal[Grade.TRANSFERRED] = Grade.TRANSFERRED
    combination: Combination
    setting: HamConfig = Field(description="What to use; (0, 0) where no gain is to be expected.")
    expected_gain: Expectation = Field(
        description="Validation accuracy over no HAM, as a fraction, with the 95 % interval in "
        "which the gain of a further combination like these is to be expected."
    )
    portfolio: tuple[HamConfig, ...] = Field(
        description="Settings to try in this order where a few trainings can be spared."
    )
    neighbours: tuple[TunedNeighbour, ...] = Field(description="Nearest first.")
    message: str = Field(description="The evidence in one sentence.")


class PaperRecommendation(BaseModel):
    """The paper's default, where nothing else is known. Nothing was trained for this one."""

    model_config = ConfigDict(frozen=True)

    grade: Literal[Grade.PAPER] = Grade.PAPER
    combination: Combination
    setting: HamConfig = Field(description="The default of the paper's authors.")
    published: tuple[PublishedResult, ...] = Field(
        description="What is reported of the same model, dataset, sparsifier and sparsity."
    )
    message: str = Field(description="What is known in one sentence.")


Untuned = Annotated[TransferredRecommendation | PaperRecommendation, Field(discriminator="grade")]
"""What can be said of a combination that nobody has tuned."""
