"""A study and its life: what is asked, what was planned, where it stands."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.budgets import Budget, BudgetChange
from ham.client.records.combinations import StoredCombination
from ham.client.records.lifecycle import StudyState
from ham.client.records.priors import Prior
from ham.client.records.runs import Cost
from ham.config import Combination, HamConfig, Recipe, Schedule, format_sparsity
from search_spaces import TUNABLE, Branch, SearchSpace, Tunable

EarlyStopping = Literal["none", "asha", "asha_promotion", "hyperband", "median"]
Sampler = Literal["tpe", "gp", "cmaes", "random", "quasi_random", "grid", "nsga2"]
Objective = Literal["accuracy", "sparsity", "training_flops", "inference_flops"]

Tune = Annotated[
    tuple[Tunable, ...],
    Field(
        max_length=len(TUNABLE),
        strict=False,
        description="What is tuned beside alpha and beta, within the ranges of the search space. "
        "With learning rate or weight decay, no HAM gets a search and a race of its own, and the "
        "gain is that over tuned no HAM. Schedules are those that the space declares.",
    ),
]
AlphaSchedule = Annotated[
    Schedule,
    Field(
        description="How alpha goes to 0 over a training, in all settings that a study tries; to "
        "have it tuned, name it in `tune` instead."
    ),
]
BetaSchedule = Annotated[Schedule, Field(description="The same for beta.")]

LARGEST_PRIORITY = 100
LOCAL = "local"
"""Who asks where the service asks for no key."""


class StudyRequest(BaseModel):
    """A request to tune alpha and beta of one combination, and what else is named."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "model": "digits_cnn",
                    "dataset": "digits",
                    "sparsifier": "random",
                    "sparsity": 0.9,
                    "optimizer": "sgd",
                    "budget": {"trials": 32},
                }
            ]
        },
    )

    model: str = Field(max_length=100, description="Name from GET /v1/models.")
    dataset: str = Field(max_length=100, description="Name from GET /v1/datasets.")
    sparsifier: str = Field(max_length=100, description="Name from GET /v1/sparsifiers.")
    sparsity: float = Field(
        default=0.0, description="Fraction of zero weights, 0 <= sparsity < 1; 0 for `dense`."
    )
    optimizer: str = Field(
        default="sgd", max_length=100, description="Name from GET /v1/optimizers."
    )
    recipe: str | None = Field(
        default=None,
        max_length=100,
        description="Id from GET /v1/recipes; the dataset's default if left out.",
    )
    budget: Budget = Budget()
    priority: int = Field(
        default=0,
        ge=-LARGEST_PRIORITY,
        le=LARGEST_PRIORITY,
        description="Studies of a higher priority are taken up first.",
    )
    sampler: Sampler = Field(
        default="tpe",
        description="Who proposes settings: Optuna's multivariate TPE, a Gaussian process, "
        "CMA-ES, random or quasi-random (Sobol) points, a grid that fills the trials, or NSGA-II. "
        "Two objectives take `tpe`, `nsga2` and `random`; "
        "`nsga2` is for them alone.",
    )
    objectives: Annotated[
        tuple[Objective, ...], Field(min_length=1, max_length=2, strict=False)
    ] = Field(
        default=("accuracy",),
        description="`accuracy`, and beside it at most one more: `sparsity` (realised, to be "
        "large), `training_flops` or `inference_flops` (to be small). With two the study "
        "searches `sparsities` as well, and ends with a Pareto front in the place of a "
        "recommendation.",
    )
    sparsities: Annotated[tuple[float, ...], Field(max_length=10, strict=False)] = Field(
        default=(),
        description="With two objectives: 2 to 10 levels of sparsity to choose from. "
        "`sparsity` is then left out; the study is listed under the combination of the lowest "
        "level.",
    )
    tune: Tune = ()
    alpha_schedule: AlphaSchedule = "constant"
    beta_schedule: BetaSchedule = "constant"
    transfer: bool = Field(
        default=True,
        description="Begin the search with settings that helped similar combinations, and take "
        "their gains for a prior of its surface, where enough of them have been tuned.",
    )
    replicate: bool = Field(
        default=False,
        description="Train again what an earlier study has trained. By default a run that is "
        "identical in combination, setting, seed, code, data and device is reused.",
    )


class StudyChange(BaseModel):
    """What may be changed of a study that has not ended; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        json_schema_extra={"examples": [{"priority": 10, "budget": {"trials": 48}}]},
    )

    priority: int | None = Field(
        default=None,
        ge=-LARGEST_PRIORITY,
        le=LARGEST_PRIORITY,
        description="Studies of a higher priority are taken up first.",
    )
    budget: BudgetChange | None = Field(
        default=None,
        description="A part of it can change until the first training that depends on it begins.",
    )


class CombinationFilter(BaseModel):
    """Which combinations are meant; a field that is None matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(default=None, description="Name from GET /v1/models.")
    dataset: str | None = Field(default=None, description="Name from GET /v1/datasets.")
    sparsifier: str | None = Field(default=None, description="Name from GET /v1/sparsifiers.")
    sparsity: float | None = Field(
        default=None, ge=0, lt=1, description="Fraction of zero weights."
    )
    optimizer: str | None = Field(default=None, description="Name from GET /v1/optimizers.")
    recipe: str | None = Field(default=None, description="Id from GET /v1/recipes.")


ALL_COMBINATIONS = CombinationFilter()


class Plan(BaseModel):
    """What will run, fixed before the study is queued.

    Seeds of different stages never meet: what the search saw is not what confirms.
    """

    model_config = ConfigDict(frozen=True)

    combination: StoredCombination
    recipe: Recipe
    space: SearchSpace
    budget: Budget
    sampler: Sampler
    sampler_seed: int
    early_stopping: EarlyStopping = "none"
    reuse: bool = True
    transfer: bool = True
    prior: Prior | None = Field(
        default=None,
        description="What similar combinations let it expect, written when the search begins; "
        "null before that, and where too few are similar or `transfer` is off.",
    )
    search_seeds: tuple[int, ...]
    screening_seeds: tuple[int, ...]
    confirmation_seeds: tuple[int, ...]
    baselines: tuple[HamConfig, ...] = Field(
        description="Settings re-run beside the finalists: no HAM, and the paper's default. With "
        "two objectives no HAM alone, at each of the sparsities."
    )
    objectives: tuple[Objective, ...] = ("accuracy",)
    sparsities: tuple[float, ...] = Field(
        default=(),
        description="With two objectives, the levels of sparsity that are searched, ascending; "
        "`combination` is then that of the lowest.",
    )
    expected_runs: int
    expected_epochs: int

    @property
    def is_multi_objective(self) -> bool:
        """True with two objectives: the study ends with a Pareto front, not a recommendation."""
        return len(self.objectives) > 1

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """What is trained: one combination, or that of each level of sparsity."""
        return tuple(map(self.combination_at, self.sparsities)) or (self.combination,)

    def combination_at(self, sparsity: float | None) -> Combination:
        """Return the combination at a level of sparsity; None stands for the plan's own."""
        if sparsity is None:
            return self.combination
        return Combination.stored(**(asdict(self.combination) | {"sparsity": sparsity}))

    @property
    def slug(self) -> str:
        """Readable name of what is tuned: the combination's, with all levels of sparsity."""
        if not self.is_multi_objective:
            return self.combination.slug
        lowest, *others = map(format_sparsity, self.sparsities)
        return self.combination.slug.replace(f"-{lowest}/", f"-{','.join([lowest, *others])}/")

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches of the search, in the order in which their trials are numbered.

        The baseline has a branch where learning rate or weight decay is tuned: it is then tuned
        with the same effort as HAM.
        """
        return ("ham", "baseline") if self.space.multiples else ("ham",)

    @property
    def search_trials(self) -> int:
        """Search trials of all branches, at most; the branches take turns in the numbering."""
        return len(self.branches) * self.budget.trials

    def trained_with(self, setting: HamConfig) -> dict[str, Any]:
        """Return the values, not multiples, that a setting gives to what was tuned jointly."""
        return {
            name: getattr(self.recipe, name) * getattr(setting, name)
            for name in self.space.multiples
        }

    @property
    def run_epochs(self) -> int:
        """Epochs of one run: the recipe's, once for each training that the sparsifier takes.

        Of several combinations it is the longest one's.
        """
        return max(combination.epochs(self.recipe) for combination in self.combinations)


class StageProgress(BaseModel):
    """Runs of one stage."""

    done: int
    planned: int


class Progress(BaseModel):
    """How far a study is."""

    search: StageProgress
    screening: StageProgress
    confirmation: StageProgress
    running: int = Field(description="Runs under way.")
    failed: int = Field(description="Runs that ended without a result.")
    best_validation_accuracy: float | None = Field(
        description="Best of the search so far, a fraction."
    )
    best_setting: HamConfig | None
    elapsed_seconds: float | None
    remaining_seconds: float | None = Field(description="Estimate from the runs so far.")

    @property
    def done(self) -> int:
        """Runs ended, of all stages."""
        return self.search.done + self.screening.done + self.confirmation.done

    @property
    def planned(self) -> int:
        """Runs planned, of all stages."""
        return self.search.planned + self.screening.planned + self.confirmation.planned


class Study(BaseModel):
    """A stored study."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: StudyState
    submitter: str = Field(description="Who asked: the id of an API key, or `local`.")
    priority: int
    sweep_id: str | None = Field(description="The sweep it belongs to, if any.")
    request: StudyRequest
    plan: Plan = Field(description="As it stands now; `request` says what was asked at first.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int = Field(
        description="Runners that took it up and did not give it back on purpose."
    )
    error: str | None = Field(
        description="Why it failed or was cancelled, or why its last runner stopped."
    )
    cost: Cost = Field(description="Of its runs that have ended.")
