"""Nouns that only the server knows; those of the API are in :mod:`ham.client.records`."""

from service.records.jobs import Job, Outcome
from service.records.keys import ANYONE, UNLIMITED, ApiKey, Limits, Principal, Scope
from service.records.leases import ControlFlags, StudyLease
from service.records.run_counts import BestRun, RunCount, StudyRunCounts
from service.records.snapshots import Snapshot

__all__ = [
    "ANYONE",
    "UNLIMITED",
    "ApiKey",
    "BestRun",
    "ControlFlags",
    "Job",
    "Limits",
    "Outcome",
    "Principal",
    "RunCount",
    "Scope",
    "Snapshot",
    "StudyLease",
    "StudyRunCounts",
]
