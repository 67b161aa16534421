"""The nouns of the service, as immutable pydantic models."""

from service.records.keys import ANYONE, ApiKey, Principal, Scope
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
    Budget,
    Claim,
    CombinationFilter,
    Plan,
    Progress,
    StageProgress,
    Study,
    StudyRequest,
    StudyState,
)

__all__ = [
    "ALL_COMBINATIONS",
    "ANYONE",
    "ApiKey",
    "Benchmark",
    "Budget",
    "Claim",
    "CombinationFilter",
    "EpochMetrics",
    "Estimate",
    "Evidence",
    "Grade",
    "Job",
    "Leaderboard",
    "LeaderboardRow",
    "NewRecommendation",
    "Outcome",
    "Plan",
    "Principal",
    "Progress",
    "Purpose",
    "Recommendation",
    "Run",
    "RunState",
    "Scope",
    "StageProgress",
    "Study",
    "StudyRequest",
    "StudyState",
]
