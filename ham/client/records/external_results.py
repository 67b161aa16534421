"""Results that this service did not measure: published numbers, and runs made outside of it.

Their ``purpose`` is ``published`` or ``external``, and they name their source. They are never
ranked and never recommended.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ham.config import Combination, HamConfig
from ham.results import EpochMetrics

_LONGEST_JSON = 20_000


def _short(value: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(value)) > _LONGEST_JSON:
        raise ValueError(f"must be at most {_LONGEST_JSON} characters of JSON")
    return value


Facts = Annotated[dict[str, Any], AfterValidator(_short)]
Accuracy = Annotated[float, Field(ge=0, le=1, description="Fraction.")]


class PublishedResult(BaseModel):
    """A mean from a paper or from the repository of its authors, as they report it."""

    model_config = ConfigDict(frozen=True)

    purpose: Literal["published"] = "published"
    method: str = Field(description="Sparsifier; its name in this service, if it exists here.")
    ham: bool = Field(
        description="Whether the result was trained with HAM. Its alpha and beta are not reported."
    )
    sam: bool
    sign_in: bool
    model: str
    dataset: str
    sparsity: float
    test_accuracy: float = Field(description="Top-1 test accuracy, a fraction.")
    spread: float | None = Field(
        description="Spread as the source reports it, mostly a standard deviation."
    )
    epochs: int | None
    recipe: str = Field(description="Recipe of the source; it is not a recipe of this service.")
    source: str


class NewExternalRun(BaseModel):
    """A training that was made outside of this service."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "source": "our cluster, commit 1a2b3c4",
                    "model": "digits_cnn",
                    "dataset": "digits",
                    "sparsifier": "rigl",
                    "sparsity": 0.9,
                    "alpha": 20.0,
                    "beta": 0.01,
                    "seed": 1,
                    "epochs": 15,
                    "test_accuracy": 0.972,
                }
            ]
        },
    )

    source: str = Field(
        min_length=3,
        max_length=300,
        description="Who made the run, and with what: a paper, a commit, a cluster.",
        examples=["our cluster, commit 1a2b3c4"],
    )
    model: str = Field(max_length=100, description="Name from GET /v1/models.")
    dataset: str = Field(max_length=100, description="Name from GET /v1/datasets.")
    sparsifier: str = Field(max_length=100, description="Name from GET /v1/sparsifiers.")
    sparsity: float = Field(default=0.0, description="Fraction of zero weights.")
    optimizer: str = Field(default="sgd", max_length=100)
    recipe: str | None = Field(
        default=None,
        max_length=100,
        description="Id from GET /v1/recipes; if left out, the dataset's default.",
    )
    alpha: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    beta: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    epochs: Annotated[int, Field(ge=1, le=100_000, description="Number of epochs trained.")]
    validation_accuracy: Accuracy | None = None
    test_accuracy: Accuracy | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    measures: Facts = {}
    environment: Facts = {}
    curve: Annotated[tuple[EpochMetrics, ...], Field(max_length=2_000)] = ()


class ExternalRun(BaseModel):
    """A stored external run."""

    model_config = ConfigDict(frozen=True)

    purpose: Literal["external"] = "external"
    id: str
    source: str
    submitter: str | None = Field(description="Id of the API key that sent the run.")
    created_at: datetime
    combination: Combination
    setting: HamConfig
    seed: int
    epochs: int
    validation_accuracy: float | None
    test_accuracy: float | None
    seconds: float | None
    measures: dict[str, Any]
    environment: dict[str, Any]
    curve: tuple[EpochMetrics, ...]
