"""Studies: requests, plans, progress and stored studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ham.client.records.budgets import Budget, BudgetChange, EarlyStopping
from ham.client.records.combinations import StoredCombination
from ham.client.records.lifecycle import StudyState
from ham.client.records.priors import Prior
from ham.client.records.runs import Cost
from ham.config import Combination, HamConfig, Recipe, Schedule, format_sparsity
from search_spaces import TUNABLE, Branch, SearchSpace, Tunable

Sampler = Literal["tpe", "gp", "cmaes", "random", "quasi_random", "grid", "nsga2"]
PARETO_SAMPLERS: tuple[Sampler, ...] = ("tpe", "nsga2", "random")
"""Samplers that can propose for two objectives."""
PARETO_ONLY_SAMPLERS: tuple[Sampler, ...] = ("nsga2",)
"""Samplers that cannot propose for one objective."""
Objective = Literal["accuracy", "sparsity", "training_flops", "inference_flops"]

Tune = Annotated[
    tuple[Tunable, ...],
    Field(
        max_length=len(TUNABLE),
        strict=False,
        description="Hyperparameters to tune besides alpha and beta, within the ranges of the "
        "search space. If learning rate or weight decay is tuned, the baseline, without HAM, is "
        "tuned with the same effort, and the gain is that over the tuned baseline. Schedules are "
        "chosen from those that the search space declares.",
    ),
]
AlphaSchedule = Annotated[
    Schedule,
    Field(
        description="Schedule of alpha over a training, for all configurations of the study; to "
        "tune it, name it in `tune` instead."
    ),
]
BetaSchedule = Annotated[
    Schedule,
    Field(
        description="Schedule of beta over a training, for all configurations of the study; to "
        "tune it, name it in `tune` instead."
    ),
]


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


LARGEST_PRIORITY = 100
LOCAL = "local"
"""Submitter of every study if the service asks for no API key."""


class StudyRequest(BaseModel):
    """A request to tune alpha and beta of one combination, and the hyperparameters in ``tune``."""

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
        description="Id from GET /v1/recipes; if left out, the dataset's default.",
    )
    budget: Budget = Budget()
    priority: int = Field(
        default=0,
        ge=-LARGEST_PRIORITY,
        le=LARGEST_PRIORITY,
        description="Studies of a higher priority are claimed first.",
    )
    sampler: Sampler = Field(
        default="tpe",
        description="Optuna sampler that proposes configurations: multivariate TPE, a Gaussian "
        "process, CMA-ES, random or quasi-random (Sobol) points, a grid with as many points as "
        f"trials, or NSGA-II. With two objectives: {_named(PARETO_SAMPLERS)}. With two objectives "
        f"alone: {_named(PARETO_ONLY_SAMPLERS)}.",
    )
    objectives: Annotated[
        tuple[Objective, ...], Field(min_length=1, max_length=2, strict=False)
    ] = Field(
        default=("accuracy",),
        description="`accuracy` alone, or with one more: `sparsity` (realised, maximised), "
        "`training_flops` or `inference_flops` (minimised). With two objectives the study also "
        "searches `sparsities`, and its result is a Pareto front instead of a recommendation.",
    )
    sparsities: Annotated[tuple[float, ...], Field(max_length=10, strict=False)] = Field(
        default=(),
        description="With two objectives: 2 to 10 levels of sparsity to search; `sparsity` is "
        "then left out. The study belongs to the combination with the lowest level.",
    )
    tune: Tune = ()
    alpha_schedule: AlphaSchedule = "constant"
    beta_schedule: BetaSchedule = "constant"
    transfer: bool = Field(
        default=True,
        description="Start the search with configurations that helped similar combinations, and "
        "use their gains as a prior of the response surface, if enough similar combinations have "
        "been tuned.",
    )
    replicate: bool = Field(
        default=False,
        description="Repeat trainings that earlier studies made. By default a run is reused if "
        "it has the same combination, configuration, seed, code, data and device.",
    )


class StudyChange(BaseModel):
    """Changes of a study that has not ended; what is left out stays as it is."""

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
        description="Studies of a higher priority are claimed first.",
    )
    budget: BudgetChange | None = Field(
        default=None,
        description="Each part can change until the first training that depends on it begins.",
    )


class CombinationFilter(BaseModel):
    """A filter of combinations; a field that is None matches all."""

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
    """What a study will run, fixed before the study is queued.

    The stages use different seeds, so no seed of the search confirms its result.
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
        description="Expected gains from similar combinations, written when the search begins. "
        "Null before that, if too few combinations are similar, or if `transfer` is off.",
    )
    search_seeds: tuple[int, ...]
    screening_seeds: tuple[int, ...]
    confirmation_seeds: tuple[int, ...]
    baselines: tuple[HamConfig, ...] = Field(
        description="Configurations that are trained beside the finalists: the baseline, without "
        "HAM, and the paper's default. With two objectives only the baseline, at each level of "
        "sparsity."
    )
    objectives: tuple[Objective, ...] = ("accuracy",)
    sparsities: tuple[float, ...] = Field(
        default=(),
        description="With two objectives, the levels of sparsity that are searched, ascending; "
        "`combination` has the lowest level.",
    )
    expected_runs: int
    expected_epochs: int

    @property
    def is_multi_objective(self) -> bool:
        """True with two objectives: the result is a Pareto front, not a recommendation."""
        return len(self.objectives) > 1

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """The combinations that are trained: one, or one for each level of sparsity."""
        return tuple(map(self.combination_at, self.sparsities)) or (self.combination,)

    def combination_at(self, sparsity: float | None) -> Combination:
        """Return the combination at a level of sparsity; None stands for the plan's own level."""
        if sparsity is None:
            return self.combination
        return Combination.stored(**(asdict(self.combination) | {"sparsity": sparsity}))

    @property
    def slug(self) -> str:
        """Readable name of the combination, with all levels of sparsity."""
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
        """Return the jointly tuned values of a configuration, as values and not as multiples."""
        return {
            name: getattr(self.recipe, name) * getattr(setting, name)
            for name in self.space.multiples
        }

    @property
    def run_epochs(self) -> int:
        """Epochs of one run: the recipe's, once for each training that the sparsifier takes.

        With several combinations it is the largest number.
        """
        return max(combination.epochs(self.recipe) for combination in self.combinations)


class StageProgress(BaseModel):
    """Number of ended and of planned runs of one stage."""

    done: int
    planned: int


class Progress(BaseModel):
    """Progress of a study."""

    search: StageProgress
    screening: StageProgress
    confirmation: StageProgress
    running: int = Field(description="Number of running runs.")
    failed: int = Field(description="Number of runs that ended without a result.")
    best_validation_accuracy: float | None = Field(
        description="Best validation accuracy of the search so far, a fraction."
    )
    best_setting: HamConfig | None
    elapsed_seconds: float | None
    remaining_seconds: float | None = Field(
        description="Estimate from the runs so far, in seconds."
    )

    @property
    def done(self) -> int:
        """Number of ended runs of all stages."""
        return self.search.done + self.screening.done + self.confirmation.done

    @property
    def planned(self) -> int:
        """Number of planned runs of all stages."""
        return self.search.planned + self.screening.planned + self.confirmation.planned


class Study(BaseModel):
    """A stored study."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: StudyState
    submitter: str = Field(description="Id of an API key, or `local`.")
    priority: int
    sweep_id: str | None = Field(description="Id of the sweep that it belongs to, if any.")
    request: StudyRequest
    plan: Plan = Field(description="The present plan; `request` is what was asked for at first.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int = Field(
        description="Number of runners that worked on it and did not release it on purpose."
    )
    error: str | None = Field(
        description="Why it failed or was cancelled, or why its last runner stopped."
    )
    cost: Cost = Field(description="Cost of its ended runs.")
