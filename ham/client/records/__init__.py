"""Records of the API as immutable pydantic models: requests and answers."""

from ham.client.records.budgets import Budget, BudgetChange, EarlyStopping
from ham.client.records.catalog import (
    CatalogEntry,
    DatasetView,
    ModelView,
    OptimizerView,
    PluginView,
    RecipeView,
    SpaceView,
    SparsifierView,
)
from ham.client.records.combinations import CombinationEntry
from ham.client.records.early_stopping import EarlyStoppingReport, EarlyStoppingState, Rung
from ham.client.records.estimates import CostEstimate
from ham.client.records.events import EventKind, StudyEvent
from ham.client.records.external_results import ExternalRun, NewExternalRun, PublishedResult
from ham.client.records.lifecycle import ENDED, HELD, Command, StudyState
from ham.client.records.logs import LogLevel, LogLine, NewLogLine
from ham.client.records.measures import StoredMeasures
from ham.client.records.overview import Comparison, Method, Overview
from ham.client.records.pareto_fronts import NewParetoFront, ParetoFront, ParetoPoint
from ham.client.records.priors import Prior
from ham.client.records.recommendations import (
    Benchmark,
    Estimate,
    Evidence,
    Grade,
    Leaderboard,
    LeaderboardEntry,
    NewRecommendation,
    Recommendation,
)
from ham.client.records.runs import Cost, Purpose, Run, RunState
from ham.client.records.studies import (
    ALL_COMBINATIONS,
    LOCAL,
    CombinationFilter,
    Objective,
    Plan,
    Progress,
    Sampler,
    StageProgress,
    Study,
    StudyChange,
    StudyRequest,
)
from ham.client.records.surfaces import (
    AxisOptimum,
    Expectation,
    Optimum,
    ScheduleOptimum,
    SurfaceGrid,
    TriedConfiguration,
)
from ham.client.records.sweeps import LeftOut, Sweep, SweepProgress, SweepRequest
from ham.client.records.transfers import (
    PaperRecommendation,
    TransferredRecommendation,
    TunedNeighbour,
    Untuned,
)
from ham.client.records.views import Health, Page, PlanView, Reason, StudyView, SweepView
from ham.results import EpochMetrics

__all__ = [
    "ALL_COMBINATIONS",
    "ENDED",
    "HELD",
    "LOCAL",
    "AxisOptimum",
    "Benchmark",
    "Budget",
    "BudgetChange",
    "CatalogEntry",
    "CombinationEntry",
    "CombinationFilter",
    "Command",
    "Comparison",
    "Cost",
    "CostEstimate",
    "DatasetView",
    "EarlyStopping",
    "EarlyStoppingReport",
    "EarlyStoppingState",
    "EpochMetrics",
    "Estimate",
    "EventKind",
    "Evidence",
    "Expectation",
    "ExternalRun",
    "Grade",
    "Health",
    "Leaderboard",
    "LeaderboardEntry",
    "LeftOut",
    "LogLevel",
    "LogLine",
    "Method",
    "ModelView",
    "NewExternalRun",
    "NewLogLine",
    "NewParetoFront",
    "NewRecommendation",
    "Objective",
    "OptimizerView",
    "Optimum",
    "Overview",
    "Page",
    "PaperRecommendation",
    "ParetoFront",
    "ParetoPoint",
    "Plan",
    "PlanView",
    "PluginView",
    "Prior",
    "Progress",
    "PublishedResult",
    "Purpose",
    "Reason",
    "RecipeView",
    "Recommendation",
    "Run",
    "RunState",
    "Rung",
    "Sampler",
    "ScheduleOptimum",
    "SpaceView",
    "SparsifierView",
    "StageProgress",
    "StoredMeasures",
    "Study",
    "StudyChange",
    "StudyEvent",
    "StudyRequest",
    "StudyState",
    "StudyView",
    "SurfaceGrid",
    "Sweep",
    "SweepProgress",
    "SweepRequest",
    "SweepView",
    "TransferredRecommendation",
    "TriedConfiguration",
    "TunedNeighbour",
    "Untuned",
]
