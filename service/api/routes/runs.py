"""Runs and their learning curves."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.dependencies import RunId, StorageDep
from service.api.problems import documented
from service.api.schemas import Page
from service.records import EpochMetrics, Run

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("/{run_id}", summary="Show a run", responses=documented(404, 422))
def get_run(run_id: RunId, storage: StorageDep) -> Run:
    """Return one training: its setting, seed, fidelity, metrics and environment."""
    return storage.runs.get(run_id)


@router.get(
    "/{run_id}/curve", summary="Show the learning curve of a run", responses=documented(404, 422)
)
def get_curve(run_id: RunId, storage: StorageDep) -> Page[EpochMetrics]:
    """Return the metrics of every epoch; none before the run has ended."""
    return Page(items=storage.runs.curve(run_id))
