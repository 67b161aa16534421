"""What the service answers: settings with evidence, and rankings."""

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
    """How far a recommendation may be believed."""

    CONFIRMED = "confirmed"
    NO_GAIN = "no gain"
    PROVISIONAL = "provisional"
    TRANSFERRED = "transferred"
    PAPER = "paper"

    @property
    def meaning(self) -> str:
        """What the grade says, in one sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Grade.CONFIRMED: "On held-out seeds and test data, the whole interval of its gain over no HAM "
    "is above zero.",
    Grade.NO_GAIN: "On held-out seeds and test data, HAM is not shown to help; no HAM is served.",
    Grade.PROVISIONAL: "Found by a search on validation data; its gain has not been measured on "
    "held-out seeds.",
    Grade.TRANSFERRED: "Carried over from similar combinations; nothing was trained for this one.",
    Grade.PAPER: "The paper's default; nothing was trained for this combination.",
}


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[str, ...]) -> bool:
    return not value


def _is_no_ham_untuned(value: object) -> bool:
    return value == RECIPE_BASELINE


class Estimate(BaseModel):
    """A mean over seeds with its 95 % confidence interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float
    n: int = Field(description="Seeds.")


class Evidence(BaseModel):
    """What one setting reached in the confirmation."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(
        description="`tuned`, `no HAM`, `paper` or `finalist`. Where learning rate or weight "
        "decay was tuned, `no HAM` is tuned too; at the recipe's values it is `no HAM, recipe`."
    )
    setting: HamConfig
    screening_validation_accuracy: Estimate | None
    test_accuracy: Estimate | None = Field(description="Of the confirmation.")
    test_accuracies: dict[int, float] = Field(description="The same, by seed.")
    failed_runs: int
    sparsity: float | None = Field(description="Measured on the trained weights.")
    environments: tuple[str, ...] = Field(
        default=(), description="Where its confirmation was trained: device, torch, precision."
    )


class NewRecommendation(BaseModel):
    """A recommendation that a study has reached, before it is stored."""

    model_config = ConfigDict(frozen=True)

    grade: Grade
    setting: HamConfig = Field(description="What to use; (0, 0) where no gain is shown.")
    candidate: HamConfig = Field(description="The best setting found, whose gain was measured.")
    control: HamConfig = Field(
        default=RECIPE_BASELINE,
        exclude_if=_is_no_ham_untuned,
        description="What it was compared with: no HAM, where that was tuned too. Left out where "
        "it is no HAM at the recipe's values.",
    )
    learning_rate: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Peak learning rate to train `setting` with, where it was tuned jointly.",
    )
    weight_decay: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Weight decay to train `setting` with, where it was tuned jointly.",
    )
    tuned_schedules: tuple[Scheduled, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="The schedules that were tuned too. Left out where none was.",
    )
    accuracy: Estimate | None = Field(
        description="Test accuracy of `setting`, a fraction; null where none was measured."
    )
    gain: Estimate | None = Field(
        description="Test accuracy of `candidate` minus that of no HAM (`control`), paired by "
        "seed; null where it was not measured."
    )
    gain_over_recipe: Estimate | None = Field(
        default=None,
        exclude_if=_is_none,
        description="The same over no HAM at the recipe's values, where `control` differs.",
    )
    gain_over_paper: Estimate | None = Field(
        description="The same over the paper's default (alpha 200, beta 1e-3)."
    )
    seeds: tuple[int, ...] = Field(description="Seeds of the paired comparison.")
    message: str = Field(description="The evidence in one sentence.")
    warnings: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...]
    optimum: Optimum | None = Field(
        default=None, description="The candidate's surroundings; null with too few runs for it."
    )
    surface: SurfaceGrid | None = Field(
        default=None, exclude=True, description="Kept beside it: see its own address."
    )

    @property
    def is_joint(self) -> bool:
        """True where it speaks of more than constant alpha and beta at the recipe's values."""
        tuned = self.learning_rate is not None or self.weight_decay is not None
        return tuned or bool(self.candidate.joint)

    @property
    def train_with(self) -> tuple[str, ...]:
        """What to train ``setting`` with beside alpha and beta, in words; empty: the recipe's."""
        tuned = {"learning rate": self.learning_rate, "weight decay": self.weight_decay}
        schedules = {"alpha": self.setting.alpha_schedule, "beta": self.setting.beta_schedule}
        return (
            *(f"{name} {value:.6g}" for name, value in tuned.items() if value is not None),
            *(f"{name} {to} to 0" for name, to in schedules.items() if to != "constant"),
        )

    @property
    def compared(self) -> tuple[HamConfig, ...]:
        """The settings behind the gains: control, candidate, and no HAM where it is another."""
        pair = (self.control, self.candidate)
        return pair if self.gain_over_recipe is None else (*pair, RECIPE_BASELINE)


class Recommendation(NewRecommendation):
    """A stored recommendation; a later study of the combination makes a new version."""

    id: str
    combination: StoredCombination
    study_id: str
    version: int
    created_at: datetime
    cost: Cost = Field(
        description="Of all trainings of the combination until then, in whichever studies."
    )


class LeaderboardEntry(BaseModel):
    """One method with one setting on a benchmark."""

    model_config = ConfigDict(frozen=True)

    rank: int = Field(description="Equal ranks are ties: their intervals do not tell them apart.")
    sparsifier: str
    optimizer: str
    role: str = Field(description="`tuned`, `no HAM` or `paper`.")
    trainings: int | None = Field(
        description="How often a run goes through the recipe: more than once where pruning is "
        "iterative; null where the sparsifier's package is not installed any more."
    )
    setting: HamConfig
    test_accuracy: Estimate
    sparsity: float | None = Field(description="Measured on the trained weights.")
    combination: str
    study_id: str
    environments: tuple[str, ...] = Field(
        default=(), description="Where it was trained: device, torch, precision."
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
        """Name in addresses, for example ``digits_cnn-digits-0.90-digits@1``."""
        return f"{self.model}-{self.dataset}-{format_sparsity(self.sparsity)}-{self.recipe}"


class Leaderboard(BaseModel):
    """A ranking of methods at equal model, dataset, sparsity and training budget."""

    model_config = ConfigDict(frozen=True)

    benchmark: Benchmark
    rows: tuple[LeaderboardEntry, ...]
    environments: tuple[str, ...] = Field(
        default=(),
        description="Where its rows were trained. With more than one, differences between rows "
        "may be those of the environments: look at each row's.",
    )
    published: tuple[PublishedResult, ...] = Field(
        default=(),
        description="What others report at this model, dataset and sparsity, by their recipes: "
        "beside the ranking, never in it.",
    )
