"""Recommendations with their evidence, and leaderboards."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, computed_field

from ham.client.records.combinations import StoredCombination
from ham.client.records.external_results import PublishedResult
from ham.client.records.runs import Cost
from ham.client.records.surfaces import Optimum, SurfaceGrid
from ham.config import RECIPE_BASELINE, HamConfig, format_sparsity
from search_spaces import Scheduled


class Grade(StrEnum):
    """How strong the evidence of a recommendation is."""

    CONFIRMED = "confirmed"
    NO_GAIN = "no gain"
    PROVISIONAL = "provisional"
    TRANSFERRED = "transferred"
    PAPER = "paper"

    @property
    def meaning(self) -> str:
        """Meaning of the grade in one sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Grade.CONFIRMED: "On held-out seeds and test data, the whole interval of its gain over the "
    "baseline is above zero.",
    Grade.NO_GAIN: "On held-out seeds and test data, HAM is not shown to help; the baseline is "
    "served.",
    Grade.PROVISIONAL: "Found by a search on validation data; its gain has not been measured on "
    "held-out seeds.",
    Grade.TRANSFERRED: "Transferred from similar combinations; nothing was trained for this one.",
    Grade.PAPER: "The paper's default; nothing was trained for this combination.",
}


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[str, ...]) -> bool:
    return not value


def _is_recipe_baseline(value: object) -> bool:
    return value == RECIPE_BASELINE


class Estimate(BaseModel):
    """A mean over seeds with its 95 % confidence interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float
    n: int = Field(description="Number of seeds.")


class Evidence(BaseModel):
    """Results of one configuration in the confirmation."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(
        description="`tuned`, `no HAM` (the baseline), `paper` or `finalist`. If learning rate "
        "or weight decay was tuned, `no HAM` is the tuned baseline; `no HAM, recipe` is the "
        "baseline at the recipe's values."
    )
    setting: HamConfig
    screening_validation_accuracy: Estimate | None
    test_accuracy: Estimate | None = Field(
        description="Test accuracy in the confirmation, a fraction."
    )
    test_accuracies: dict[int, float] = Field(
        description="Test accuracies in the confirmation by seed, fractions."
    )
    failed_runs: int
    sparsity: float | None = Field(description="Sparsity measured on the trained weights.")
    environments: tuple[str, ...] = Field(
        default=(), description="Environments of its confirmation runs: device, torch, precision."
    )


class NewRecommendation(BaseModel):
    """A recommendation before it is stored."""

    model_config = ConfigDict(frozen=True)

    grade: Grade
    setting: HamConfig = Field(
        description="The recommended configuration; (0, 0) if no gain is shown."
    )
    candidate: HamConfig = Field(
        description="The best configuration found; its gain was measured."
    )
    control: HamConfig = Field(
        default=RECIPE_BASELINE,
        exclude_if=_is_recipe_baseline,
        description="The baseline, without HAM, that the candidate was compared with. Left out "
        "if it has the recipe's values.",
    )
    learning_rate: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Peak learning rate to train `setting` with, if it was tuned.",
    )
    weight_decay: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Weight decay to train `setting` with, if it was tuned.",
    )
    tuned_schedules: tuple[Scheduled, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="The schedules that were tuned. Left out if none was.",
    )
    accuracy: Estimate | None = Field(
        description="Test accuracy of `setting`, a fraction; null if none was measured."
    )
    gain: Estimate | None = Field(
        description="Test accuracy of `candidate` minus that of the baseline (`control`), paired "
        "by seed; null if it was not measured."
    )
    gain_over_recipe: Estimate | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Test accuracy of `candidate` minus that of the baseline at the recipe's "
        "values, if `control` differs from it.",
    )
    gain_over_paper: Estimate | None = Field(
        description="Test accuracy of `candidate` minus that of the paper's default (alpha 200, "
        "beta 1e-3), paired by seed."
    )
    seeds: tuple[int, ...] = Field(description="Seeds of the paired comparison.")
    message: str = Field(description="Summary of the evidence in one sentence.")
    warnings: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...]
    optimum: Optimum | None = Field(
        default=None,
        description="The response surface around the candidate; null with too few runs for a "
        "surface.",
    )
    surface: SurfaceGrid | None = Field(
        default=None, exclude=True, description="The response surface; it has its own URL."
    )

    @property
    def is_joint(self) -> bool:
        """True if more than constant alpha and beta at the recipe's values were tuned."""
        tuned = self.learning_rate is not None or self.weight_decay is not None
        return tuned or bool(self.candidate.joint)

    @property
    def train_with(self) -> tuple[str, ...]:
        """Tuned values to train ``setting`` with besides alpha and beta, in words."""
        tuned = {"learning rate": self.learning_rate, "weight decay": self.weight_decay}
        schedules = {"alpha": self.setting.alpha_schedule, "beta": self.setting.beta_schedule}
        return (
            *(f"{name} {value:.6g}" for name, value in tuned.items() if value is not None),
            *(f"{name} {to} to 0" for name, to in schedules.items() if to != "constant"),
        )

    @property
    def compared(self) -> tuple[HamConfig, ...]:
        """The configurations behind the gains; the recipe baseline only if it differs."""
        pair = (self.control, self.candidate)
        return pair if self.gain_over_recipe is None else (*pair, RECIPE_BASELINE)


class Recommendation(NewRecommendation):
    """A stored recommendation. A later study of the combination makes a new version."""

    id: str
    combination: StoredCombination
    study_id: str
    version: int
    created_at: datetime
    cost: Cost = Field(
        description="Cost of all trainings of the combination until then, in all studies."
    )


class LeaderboardEntry(BaseModel):
    """One method with one configuration on a benchmark."""

    model_config = ConfigDict(frozen=True)

    rank: int = Field(description="Equal ranks are ties: their intervals do not separate them.")
    sparsifier: str
    optimizer: str
    role: str = Field(description="`tuned`, `no HAM` (the baseline) or `paper`.")
    trainings: int | None = Field(
        description="Number of trainings of the recipe in one run: more than one if pruning is "
        "iterative; null if the sparsifier's package is no longer installed."
    )
    setting: HamConfig
    test_accuracy: Estimate
    sparsity: float | None = Field(description="Sparsity measured on the trained weights.")
    combination: str
    study_id: str
    environments: tuple[str, ...] = Field(
        default=(), description="Environments of its runs: device, torch, precision."
    )


class Benchmark(BaseModel):
    """What one leaderboard ranks: model, dataset, sparsity and recipe."""

    model_config = ConfigDict(frozen=True)

    model: str
    dataset: str
    sparsity: float
    recipe: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name(self) -> str:
        """Name in URLs, for example ``digits_cnn-digits-0.90-digits@1``."""
        return f"{self.model}-{self.dataset}-{format_sparsity(self.sparsity)}-{self.recipe}"


class Leaderboard(BaseModel):
    """A ranking of methods at equal model, dataset, sparsity and training budget."""

    model_config = ConfigDict(frozen=True)

    benchmark: Benchmark
    rows: tuple[LeaderboardEntry, ...]
    environments: tuple[str, ...] = Field(
        default=(),
        description="Environments of all ranked runs. With more than one, differences between "
        "entries may come from the environments: compare `environments` of each entry.",
    )
    published: tuple[PublishedResult, ...] = Field(
        default=(),
        description="Published results at this model, dataset and sparsity, under other recipes. "
        "They are beside the ranking and never in it.",
    )
