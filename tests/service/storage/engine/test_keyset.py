"""Keyset pages: with any filter, the pages together hold exactly the matching rows."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from ham.client.records import CombinationFilter, Purpose, Run, RunState, Study
from service.storage import Storage
from tests.service.builders import a_job, done_run, submit

LEASE = timedelta(minutes=5)
COMBINATIONS = (
    ("digits_cnn", "random", 0.9),
    ("digits_mlp", "random", 0.9),
    ("digits_cnn", "rigl", 0.8),
)
FILTERS = (
    CombinationFilter(),
    CombinationFilter(model="digits_cnn"),
    CombinationFilter(sparsity=0.9, dataset="digits"),
    CombinationFilter(model="digits_mlp", sparsifier="rigl"),
    CombinationFilter(model="digits_cnn", sparsifier="rigl"),
)


@pytest.fixture
def full(storage: Storage) -> Storage:
    """Runs of three combinations in turn, most of the first, in two states."""
    leases = []
    for model, sparsifier, sparsity in (*COMBINATIONS, COMBINATIONS[0]):
        submit(storage, model=model, sparsifier=sparsifier, sparsity=sparsity)
        claimed = storage.queue.claim("a", LEASE)
        assert claimed is not None
        leases.append(claimed[1])
    for number, lease in product(range(3), leases):
        done_run(storage, lease, a_job(trial_number=number))
    for lease in leases[::2]:
        storage.runs.begin(lease, a_job(Purpose.SCREENING), 3)
    return storage


def _matches(study: Study, which: CombinationFilter) -> bool:
    wanted = which.model_dump(exclude_none=True)
    return all(getattr(study.plan.combination, name) == value for name, value in wanted.items())


@pytest.mark.parametrize("which", FILTERS)
def test_pages_of_runs_hold_every_matching_run(full: Storage, which: CombinationFilter) -> None:
    studies = {study.id: study for study in full.studies.list(limit=200)}
    everything = [run for study_id in studies for run in full.runs.of_study(study_id)]
    everything.sort(key=lambda run: run.id, reverse=True)
    for state, purpose, study_id in product(
        (None, RunState.SUCCEEDED, RunState.RUNNING), (None, Purpose.SCREENING), (None, *studies)
    ):
        expected = [
            run
            for run in everything
            if state in (None, run.state)
            and purpose in (None, run.purpose)
            and study_id in (None, run.study_id)
            and _matches(studies[run.study_id], which)
        ]
        found: list[Run] = []
        while True:
            page = full.runs.page(
                which=which,
                state=state,
                purpose=purpose,
                study_id=study_id,
                limit=4,
                before=found[-1].id if found else None,
            )
            found += page
            if len(page) < 4:
                break
        assert found == expected


@pytest.mark.parametrize("which", FILTERS)
def test_pages_of_studies_hold_every_matching_study(
    full: Storage, which: CombinationFilter
) -> None:
    expected = [study for study in full.studies.list(limit=200) if _matches(study, which)]
    found: list[Study] = []
    while page := full.studies.list(which=which, limit=2, before=found[-1].id if found else None):
        found += page
    assert found == expected
