"""Nouns that only the server knows; those of the API are in :mod:`ham.client.records`."""

from service.records.jobs import Job, Outcome
from service.records.keys import ANYONE, UNLIMITED, ApiKey, Limits, Principal, Scope
from service.records.leases import ControlFlags, StudyLease

__all__ = [
    "ANYONE",
    "UNLIMITED",
    "ApiKey",
    "ControlFlags",
    "Job",
    "Limits",
    "Outcome",
    "Principal",
    "Scope",
    "StudyLease",
]
