"""The nouns of the service, as immutable pydantic models."""

from service.records.budgets import Budget, BudgetChange
from service.records.combinations import CombinationEntry
from service.records.early_stopping import EarlyStoppingReport, EarlyStoppingState, Rung
from service.records.elsewhere import ExternalRun, NewExternalRun, PublishedResult
from service.records.estimates import CostEstimate
from service.records.events import EventKind, StudyEvent
from service.records.fronts import Front, FrontPoint, NewFront
from service.records.keys import ANYONE, UNLIMITED, ApiKey, Limits, Principal, Scope
from service.records.lifecycle import ENDED, HELD, Command, StudyState
from service.records.logs import LogLevel, LogLine, NewLogLine
from service.records.overview import Comparison, Method, Overview
from service.records.priors import Prior
from service.records.recommendations import (
    Benchmark,
    Estimate,
    Evidence,
    Grade,
    Leaderboard,
    LeaderboardRow,
    NewRecommendation,
    Recommendation,
)
from service.records.runs import Cost, EpochMetrics, Job, Outcome, Purpose, Run, RunState
from service.records.studies import (
    ALL_COMBINATIONS,
    LOCAL,
    Claim,
    CombinationFilter,
    EarlyStopping,
    Objective,
    Orders,
    Plan,
    Progress,
    Sampler,
    StageProgress,
    Study,
    StudyChange,
    StudyRequest,
)
from service.records.surfaces import (
    AxisOptimum,
    Expectation,
    Optimum,
    ScheduleOptimum,
    SurfaceGrid,
    TriedSetting,
)
from service.records.sweeps import LeftOut, Sweep, SweepProgress, SweepRequest
from service.records.transfers import (
    PaperRecommendation,
    TransferredRecommendation,
    TunedNeighbour,
    Untuned,
)

__all__ = [
    "ALL_COMBINATIONS",
    "ANYONE",
    "ENDED",
    "HELD",
    "LOCAL",
    "UNLIMITED",
    "ApiKey",
    "AxisOptimum",
    "Benchmark",
    "Budget",
    "BudgetChange",
    "Claim",
    "CombinationEntry",
    "CombinationFilter",
    "Command",
    "Comparison",
    "Cost",
    "CostEstimate",
    "EarlyStopping",
    "EarlyStoppingReport",
    "EarlyStoppingState",
    "EpochMetrics",
    "Estimate",
    "EventKind",
    "Evidence",
    "Expectation",
    "ExternalRun",
    "Front",
    "FrontPoint",
    "Grade",
    "Job",
    "Leaderboard",
    "LeaderboardRow",
    "LeftOut",
    "Limits",
    "LogLevel",
    "LogLine",
    "Method",
    "NewExternalRun",
    "NewFront",
    "NewLogLine",
    "NewRecommendation",
    "Objective",
    "Optimum",
    "Orders",
    "Outcome",
    "Overview",
    "PaperRecommendation",
    "Plan",
    "Principal",
    "Prior",
    "Progress",
    "PublishedResult",
    "Purpose",
    "Recommendation",
    "Run",
    "RunState",
    "Rung",
    "Sampler",
    "ScheduleOptimum",
    "Scope",
    "StageProgress",
    "Study",
    "StudyChange",
    "StudyEvent",
    "StudyRequest",
    "StudyState",
    "SurfaceGrid",
    "Sweep",
    "SweepProgress",
    "SweepRequest",
    "TransferredRecommendation",
    "TriedSetting",
    "TunedNeighbour",
    "Untuned",
]
