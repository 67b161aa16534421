"""The nouns of the service, as immutable pydantic models."""

from service.records.combinations import CombinationEntry
from service.records.early_stopping import EarlyStoppingReport, Rung
from service.records.elsewhere import ExternalRun, NewExternalRun, PublishedResult
from service.records.events import EventKind, StudyEvent
from service.records.keys import ANYONE, ApiKey, Principal, Scope
from service.records.lifecycle import ENDED, HELD, Command, StudyState
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
from service.records.runs import EpochMetrics, Job, Outcome, Purpose, Run, RunState
from service.records.studies import (
    ALL_COMBINATIONS,
    LOCAL,
    Budget,
    BudgetChange,
    Claim,
    CombinationFilter,
    EarlyStopping,
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
    SurfaceGrid,
    TriedSetting,
)
from service.records.sweeps import LeftOut, Sweep, SweepProgress, SweepRequest
from service.records.transfers import TransferredRecommendation, TunedNeighbour

__all__ = [
    "ALL_COMBINATIONS",
    "ANYONE",
    "ENDED",
    "HELD",
    "LOCAL",
    "ApiKey",
    "AxisOptimum",
    "Benchmark",
    "Budget",
    "BudgetChange",
    "Claim",
    "CombinationEntry",
    "CombinationFilter",
    "Command",
    "EarlyStopping",
    "EarlyStoppingReport",
    "EpochMetrics",
    "Estimate",
    "EventKind",
    "Evidence",
    "Expectation",
    "ExternalRun",
    "Grade",
    "Job",
    "Leaderboard",
    "LeaderboardRow",
    "LeftOut",
    "NewExternalRun",
    "NewRecommendation",
    "Optimum",
    "Orders",
    "Outcome",
    "Plan",
    "Principal",
    "Progress",
    "PublishedResult",
    "Purpose",
    "Recommendation",
    "Run",
    "RunState",
    "Rung",
    "Sampler",
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
]
