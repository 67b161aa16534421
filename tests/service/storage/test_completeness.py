"""Records and tables have the same fields; this test names each exception and its reason.

It fails if a field is added without its column, or a column without its field.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import pytest

from ham.client.records import (
    CombinationEntry,
    Cost,
    EpochMetrics,
    ExternalRun,
    LogLine,
    NewExternalRun,
    NewParetoFront,
    NewRecommendation,
    ParetoFront,
    Recommendation,
    Run,
    StoredMeasures,
    Study,
    StudyEvent,
    Sweep,
)
from ham.config import Combination
from service.records import ApiKey, Job, Limits, Outcome
from service.storage import Storage
from service.storage.engine.mapping import RecordType, column_names, field_names, shared_names
from service.storage.tables import (
    ApiKeyRow,
    Base,
    CombinationRow,
    ExternalRunRow,
    IdempotencyKeyRow,
    LogLineRow,
    ParetoFrontRow,
    RecommendationRow,
    RunMetricRow,
    RunRow,
    StudyEventRow,
    StudyRow,
    SubmitterRow,
    SweepRow,
)
from tests.service.builders import a_job, submit

HAM_CONFIG = {"alpha": "part of setting", "beta": "part of setting", "joint": "part of setting"}
COST = {"seconds": "part of cost", "gpu_seconds": "part of cost"}
OF_THE_COMBINATION = {"combination": "the row of combination_id"}
IN_RESULT = "inside the JSON of the column result"


class Mapping(NamedTuple):
    """The records that one table stores, with the fields and columns that have no partner."""

    records: tuple[RecordType, ...]
    fields: dict[str, str]
    columns: dict[str, str]


MAPPINGS: dict[type[Base], Mapping] = {
    CombinationRow: Mapping(
        (Combination, CombinationEntry),
        fields={
            **OF_THE_COMBINATION,
            "studies": "counted",
            "recommendations": "counted",
        },
        columns={},
    ),
    SweepRow: Mapping((Sweep,), fields={}, columns={}),
    StudyRow: Mapping(
        (Study,),
        fields={"priority": "minus queue_order", "cost": "seconds and gpu_seconds"},
        columns={
            **COST,
            "combination_id": "the plan names the combination",
            "queue_order": "minus priority",
            "token": "of the lease",
            "lease_owner": "of the lease",
            "claimable_at": "of the lease and the queue",
            "runs_ended": "for the progress of sweeps",
        },
    ),
    StudyEventRow: Mapping((StudyEvent,), fields={"by": "owner"}, columns={"owner": "by"}),
    LogLineRow: Mapping((LogLine,), fields={}, columns={}),
    RunRow: Mapping(
        (Run,),
        fields={**OF_THE_COMBINATION, "sparsity": "of the combination", "setting": "3 columns"},
        columns={
            **HAM_CONFIG,
            "combination_id": "combination",
            "job": "makes a run unique within its study",
        },
    ),
    RunMetricRow: Mapping((EpochMetrics,), fields={}, columns={"run_id": "the curve's run"}),
    RecommendationRow: Mapping(
        (Recommendation,),
        fields={
            **dict.fromkeys(set(field_names(NewRecommendation)) - {"grade", "surface"}, IN_RESULT),
            **OF_THE_COMBINATION,
            "cost": "seconds and gpu_seconds",
        },
        columns={
            **COST,
            "alpha": "for queries; also in result",
            "beta": "for queries; also in result",
            "combination_id": "combination",
            "result": "every field of NewRecommendation but the surface",
        },
    ),
    ParetoFrontRow: Mapping(
        (ParetoFront,),
        fields=dict.fromkeys(field_names(NewParetoFront), IN_RESULT),
        columns={"result": "every field of NewParetoFront"},
    ),
    ApiKeyRow: Mapping(
        (ApiKey, Limits),
        fields={"limits": "the columns of Limits"},
        columns={"digest": "of the secret; never leaves the storage"},
    ),
    ExternalRunRow: Mapping(
        (ExternalRun,),
        fields={**OF_THE_COMBINATION, "setting": "2 columns", "purpose": "always external"},
        columns={
            "alpha": "part of setting",
            "beta": "part of setting",
            "combination_id": "combination",
        },
    ),
}

WITHOUT_A_RECORD = {
    SubmitterRow: "only for the fair share of the queue",
    IdempotencyKeyRow: "only for submissions that are sent again",
}


@pytest.mark.parametrize("table", MAPPINGS, ids=lambda table: table.__tablename__)
def test_every_field_has_a_column_and_every_column_a_field(table: type[Base]) -> None:
    records, fields_alone, columns_alone = MAPPINGS[table]
    fields = {name for record in records for name in field_names(record)}
    columns = set(column_names(table))
    assert fields - columns == set(fields_alone), "fields without a column"
    assert columns - fields == set(columns_alone), "columns without a field"


def test_every_table_is_mapped_or_has_a_reason() -> None:
    tables = {mapper.class_ for mapper in Base.registry.mappers}
    assert tables == MAPPINGS.keys() | WITHOUT_A_RECORD.keys()


def test_every_field_of_what_is_stored_has_a_column() -> None:
    """A job, an outcome and a new external run fill rows; each field is stored or has a reason."""
    into = {
        (Job, RunRow): {"setting": "3 columns", "sparsity": "of the combination"},
        (Outcome, RunRow): {
            "curve": "rows of run_metric",
            "traceback": "logged only",
            "pruned": "state",
        },
        (NewExternalRun, ExternalRunRow): dict.fromkeys(field_names(Combination), "combination"),
        (Cost, StudyRow): {},
    }
    for (record, table), reasons in into.items():
        stored = set(shared_names(record, table))
        assert set(field_names(record)) - stored == set(reasons), record.__name__


def test_stored_values_are_read_unchanged(storage: Storage) -> None:
    submit(storage)
    claimed = storage.queue.claim("a", timedelta(minutes=5))
    assert claimed is not None
    numbers = iter(range(1, 100))
    curve = tuple(
        EpochMetrics(**{name: next(numbers) for name in field_names(EpochMetrics)} | {"epoch": n})
        for n in (1, 2, 3)
    )
    outcome = Outcome(
        validation_accuracy=0.25,
        seconds=7.0,
        measures=StoredMeasures.read({"cost": {"gpu_seconds": 3.5}}),
        environment={"device": "cpu"},
        curve=curve,
    )
    job = a_job()
    run = storage.runs.begin(claimed[1], job, epochs=3)
    storage.runs.end(claimed[1], run.id, outcome)
    assert storage.runs.curve(run.id) == list(curve)
    stored = storage.runs.get(run.id)
    for record in (job, outcome):
        for name in set(field_names(type(record))) & set(field_names(Run)) - {"sparsity"}:
            assert getattr(stored, name) == getattr(record, name), name
    assert stored.gpu_seconds == 3.5
