"""Benchmarks: each has one leaderboard."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from ham.client.records import Benchmark, Page
from service.api.dependencies import StorageDep, last_modified

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/benchmarks", summary="List benchmarks", dependencies=[Depends(last_modified)])
def list_benchmarks(storage: StorageDep) -> Page[Benchmark]:
    """Return the benchmarks, each a model, dataset, sparsity and recipe with a leaderboard."""
    return Page(items=storage.recommendations.benchmarks())
