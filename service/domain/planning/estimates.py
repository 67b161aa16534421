"""Wall time and compute of a plan: its planned epochs at the pace of trainings measured here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import fsum, inf

from ham.client.records import CombinationFilter, CostEstimate, Plan, Run
from ham.client.records.estimates import Basis
from service.domain.evidence.environments import environment_labels
from service.domain.ports import TrainingReads

MAX_RUNS = 200
"""Newest trainings that an estimate looks at. Older ones may be of other machines and code."""
_SIMILAR: tuple[tuple[Basis, set[str], str], ...] = (
    ("combination", set(CombinationFilter.model_fields), "this very combination"),
    ("recipe", {"model", "dataset", "recipe"}, "the same model, dataset and recipe"),
    ("dataset", {"model", "dataset"}, "the same model and dataset under other recipes"),
)


def estimate(plan: Plan, store: TrainingReads) -> CostEstimate:
    """Return what a plan would cost, from the most similar trainings that were measured here."""
    everything = {name: getattr(plan.combination, name) for name in CombinationFilter.model_fields}
    for basis, names, description in _SIMILAR[1:] if plan.is_multi_objective else _SIMILAR:
        which = CombinationFilter(**{name: everything[name] for name in names})
        if runs := [run for run in store.trainings(which, MAX_RUNS) if run.seconds]:
            return _from_runs(plan, runs, basis, description)
    return CostEstimate(
        wall_seconds=None,
        compute_seconds=None,
        gpu_hours=None,
        basis=None,
        runs=0,
        environments=(),
        message=f"No training of {plan.combination.model} on {plan.combination.dataset} has been "
        "measured here yet, so the time cannot be estimated.",
    )


def seconds_of_a_training(plan: Plan, store: TrainingReads) -> float:
    """Return the seconds of one training by :func:`estimate`; infinity without an estimate."""
    seconds = estimate(plan, store).compute_seconds
    return inf if seconds is None else seconds / plan.expected_runs


def _from_runs(plan: Plan, runs: Sequence[Run], basis: Basis, description: str) -> CostEstimate:
    epochs = sum(run.epochs_done for run in runs)
    compute = plan.expected_epochs * fsum(run.seconds or 0.0 for run in runs) / epochs
    wall = plan.expected_epochs * _busy(runs).total_seconds() / epochs
    gpu_seconds = [run.gpu_seconds for run in runs if run.gpu_seconds is not None]
    gpu = plan.expected_epochs * fsum(gpu_seconds) / epochs
    each = compute / plan.expected_runs
    message = (
        f"Estimated from the newest {len(runs)} trainings of {description}, {each:.3g} s each. "
        "Trials that are stopped early and runs that are reused make it less."
    )
    limit = plan.budget.max_seconds
    if limit is not None and wall > limit:
        message += f" The cap of {limit:g} s will end the search early."
    return CostEstimate(
        wall_seconds=wall,
        compute_seconds=compute,
        gpu_hours=gpu / 3600 if len(gpu_seconds) == len(runs) else None,
        basis=basis,
        runs=len(runs),
        environments=environment_labels(runs),
        message=message,
    )


def _busy(runs: Sequence[Run]) -> timedelta:
    """Return the time in which a study had at least one training under way, summed over studies.

    Neither a pause nor the wait in the queue counts.
    """
    busy = timedelta(0)
    for _, own in groupby(sorted(runs, key=_study_and_start), key=lambda run: run.study_id):
        until: datetime | None = None
        for run in own:
            assert run.ended_at is not None
            start = run.started_at if until is None else max(run.started_at, until)
            busy += max(run.ended_at - start, timedelta(0))
            until = run.ended_at if until is None else max(run.ended_at, until)
    return busy


def _study_and_start(run: Run) -> tuple[str, datetime]:
    return run.study_id, run.started_at
