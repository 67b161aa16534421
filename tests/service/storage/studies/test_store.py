"""Studies: submitted once per key, listed newest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from ham.client.records import CombinationFilter, StudyState
from service.domain.planning.plans import resolve
from service.errors import Conflict, NotFound
from service.storage import Database, Storage
from service.storage.studies.store import Intake
from service.storage.tables import StudyRow
from tests.conftest import MovableClock
from tests.service.builders import a_plan, a_request, submit


def test_submitted_study_is_queued_with_its_request_and_plan(
    storage: Storage, clock: MovableClock
) -> None:
    study, new = storage.studies.submit(a_request(), a_plan())
    assert new
    assert (study.request, study.plan) == (a_request(), a_plan())
    assert (study.state, study.attempts) == (StudyState.QUEUED, 0)
    assert (study.created_at, study.started_at, study.ended_at) == (clock.now, None, None)
    assert storage.studies.get(study.id) == study


def test_same_key_and_request_give_the_same_study(storage: Storage, clock: MovableClock) -> None:
    first, new = storage.studies.submit(a_request(), a_plan(), "key")
    clock.advance(3600)
    storage.queue.claim("a", timedelta(seconds=15))
    again, new_again = storage.studies.submit(a_request(), a_plan(), "key")
    assert (new, new_again) == (True, False)
    assert again == storage.studies.get(first.id), "the present study"
    assert len(storage.studies.list()) == 1


def test_same_request_without_a_key_is_another_study(storage: Storage) -> None:
    assert submit(storage) != submit(storage)
    assert submit(storage, "one") != submit(storage, "two")


def test_key_of_another_request_is_a_conflict_that_names_its_study(storage: Storage) -> None:
    study_id = submit(storage, "key")
    other = a_request(sparsity=0.8)
    with pytest.raises(Conflict, match=study_id):
        storage.studies.submit(other, resolve(other), "key")
    assert [study.id for study in storage.studies.list()] == [study_id]


def test_unknown_study_is_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound, match="study_none"):
        storage.studies.get("study_none")


def test_list_pages_through_all_studies_newest_first(storage: Storage) -> None:
    ids = [submit(storage) for _ in range(7)]
    pages, before = [], None
    while page := storage.studies.list(limit=3, before=before):
        pages.append([study.id for study in page])
        before = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [study_id for page in pages for study_id in page] == ids[::-1]


def test_list_filters_by_state_and_by_each_field_of_the_combination(storage: Storage) -> None:
    cnn = submit(storage)
    mlp = submit(storage, model="digits_mlp", sparsifier="dense", sparsity=0.0)
    storage.queue.claim("a", timedelta(seconds=15))

    def listed(state: StudyState | None = None, **fields: Any) -> list[str]:
        which = CombinationFilter(**fields)
        return [study.id for study in storage.studies.list(state=state, which=which)]

    assert listed() == [mlp, cnn]
    assert listed(StudyState.RUNNING) == [cnn]
    assert listed(StudyState.QUEUED) == [mlp]
    assert listed(StudyState.QUEUED, model="digits_cnn") == []
    for field in CombinationFilter.model_fields:
        value = getattr(storage.studies.get(cnn).plan.combination, field)
        shared = field in ("dataset", "optimizer", "recipe")
        assert listed(**{field: value}) == ([mlp, cnn] if shared else [cnn]), field
    assert listed(sparsity=0.0) == [mlp], "zero is a sparsity, not the absence of a filter"


def test_rows_of_a_failed_submission_are_inserted_by_the_next(
    database: Database, clock: MovableClock
) -> None:
    """The intake remembers only committed rows."""
    intake = Intake(clock)
    request, plan = a_request(), a_plan()
    for number in range(3):
        with pytest.raises(KeyError), database.write() as session:
            intake.add_submitter(session, "ada")
            for _ in range(2):
                intake.add(session, request, plan, "ada")
            raise KeyError
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(StudyRow)) == number
        with database.write() as session:
            intake.add_submitter(session, "ada")
            row = intake.add(session, request, plan, "ada")
        assert row.submitter == "ada"
