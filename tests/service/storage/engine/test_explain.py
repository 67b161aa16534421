"""On PostgreSQL, every list of a growing table uses an index."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, event, text

from ham.client.records import CombinationFilter, Purpose, RunState, StudyState
from service.settings import Settings
from service.storage import Storage
from service.storage.results.recommendations import NEWS
from service.storage.runs.run_counts import RunCountStore
from tests.postgres import empty
from tests.service.builders import a_job, a_result, done_run, opened, submit

GROWING = ("run", "run_metric", "study", "study_event", "recommendation", "external_run", "sweep")
GROWING_FAST = ("run", "run_metric", "study_event", "external_run")
MODEL = CombinationFilter(model="digits_cnn")
ONE = CombinationFilter(
    model="digits_cnn", dataset="digits", sparsifier="random", sparsity=0.9, optimizer="sgd"
)
STUDY, RUN = "study_" + 26 * "0", "run_" + 26 * "z"


def _ask(storage: Storage, query: Select[Any], **values: Any) -> None:
    """Run a query as the stores do that bypass the ORM."""
    with storage.database.read() as session:
        session.execute(query, values).all()


ASKED: dict[str, Callable[[Storage], Any]] = {
    "runs": lambda storage: storage.runs.page(),
    "runs after a cursor": lambda storage: storage.runs.page(before=RUN),
    "runs of a state": lambda storage: storage.runs.page(state=RunState.FAILED),
    "runs of a stage": lambda storage: storage.runs.page(purpose=Purpose.SEARCH, before=RUN),
    "runs of a model": lambda storage: storage.runs.page(which=MODEL),
    "failed runs of a model": lambda storage: storage.runs.page(
        which=MODEL, state=RunState.FAILED, before=RUN
    ),
    "runs of a combination": lambda storage: storage.runs.page(which=ONE),
    "runs of a study": lambda storage: storage.runs.page(study_id=STUDY, after=""),
    "runs of a study and a model": lambda storage: storage.runs.page(which=MODEL, study_id=STUDY),
    "trainings of a combination": lambda storage: storage.runs.trainings(ONE, 200),
    "trainings of a model": lambda storage: storage.runs.trainings(MODEL, 200),
    "earlier runs": lambda storage: storage.runs.earlier(STUDY),
    "run counts": lambda storage: RunCountStore(storage.database).of(storage.studies.list()),
    "accuracies": lambda storage: storage.runs.accuracies(STUDY, [1, 2]),
    "studies": lambda storage: storage.studies.list(),
    "studies of a state": lambda storage: storage.studies.list(state=StudyState.FAILED),
    "studies of a model": lambda storage: storage.studies.list(which=MODEL, before=STUDY),
    "studies of a submitter": lambda storage: storage.studies.list(submitter="ada"),
    "studies of a sweep": lambda storage: storage.studies.list(sweep_id="sweep", which=MODEL),
    "recommendations": lambda storage: storage.recommendations.latest(limit=50),
    "recommendation of a combination": lambda storage: storage.recommendations.latest(ONE),
    "versions of a recommendation": lambda storage: storage.recommendations.history(1),
    "benchmarks": lambda storage: storage.recommendations.benchmarks(),
    "the newest version": lambda storage: storage.recommendations.version(),
    "news": lambda storage: _ask(storage, NEWS, version=0),
    "combinations": lambda storage: storage.combinations.list(MODEL),
    "external runs": lambda storage: storage.external_runs.list(MODEL),
    "sweeps": lambda storage: storage.sweeps.list(),
    "progress of sweeps": lambda storage: storage.sweeps.progress(["sweep"]),
    "events of a study": lambda storage: storage.events.after(0, study_id=STUDY),
    "events": lambda storage: storage.events.after(7),
    "newest event": lambda storage: storage.events.newest(),
    "metrics": lambda storage: storage.monitor.snapshot(),
    "all runs of a study": lambda storage: storage.runs.of_study(STUDY),
    "curve": lambda storage: storage.runs.curve(storage.runs.page()[0].id),
    "log": lambda storage: storage.logs.page(study_id=STUDY),
    "Pareto fronts": lambda storage: storage.pareto_fronts.list(MODEL),
}

NOT_ASKED = {
    "keys.list": "an administrator makes few keys",
    "recommendations.news": "bypasses the ORM; its query is asked",
}
"""Lists of stores that are not asked for, each with the reason."""


@pytest.fixture(scope="module")
def storage(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """A PostgreSQL database with a few rows."""
    folder: Path = tmp_path_factory.mktemp("data")
    empty(postgres_url)
    with opened(Settings(data_dir=folder, database_url=postgres_url)) as storage:
        submit(storage)
        claimed = storage.queue.claim("a", timedelta(minutes=5))
        assert claimed is not None
        done_run(storage, claimed[1], a_job())
        storage.queue.succeed(claimed[1], a_result())
        yield storage


def test_every_list_of_a_store_is_asked_for_or_has_a_reason(storage: Storage) -> None:
    asked = set(re.findall(r"storage\.(\w+\.\w+)\(", Path(__file__).read_text(encoding="utf-8")))
    lists = {
        f"{name}.{method}"
        for name, store in vars(storage).items()
        for method, function in inspect.getmembers(type(store), inspect.isfunction)
        if method[0] != "_" and function.__annotations__["return"].startswith("list[")
    }
    assert lists - asked == set(NOT_ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_every_query_uses_an_index(storage: Storage, name: str) -> None:
    """With sequential scans switched off, only a query without an index still uses one."""
    for plan in _plans(storage, ASKED[name]):
        read = {node["Relation Name"] for node in _scans(plan) if node["Node Type"] == "Seq Scan"}
        assert read.isdisjoint(GROWING), plan


@pytest.mark.parametrize("name", ASKED)
def test_no_index_of_a_growing_table_is_read_as_a_whole(storage: Storage, name: str) -> None:
    """An index may be read in its order until the page is full."""
    for plan in _plans(storage, ASKED[name]):
        for node in _scans(plan):
            if node["Relation Name"] in GROWING_FAST and node["Node Type"].startswith("Index"):
                assert "Index Cond" in node or node["limited"], plan


def test_progress_of_sweeps_is_read_from_their_studies_alone(storage: Storage) -> None:
    """One page of sweeps may have a hundred thousand runs."""
    (plan,) = _plans(storage, ASKED["progress of sweeps"])
    assert {node["Relation Name"] for node in _scans(plan)} == {"study"}


def _plans(storage: Storage, ask: Callable[[Storage], Any]) -> list[dict[str, Any]]:
    """Return PostgreSQL's plan of each executed statement, with sequential scans switched off."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    engine = storage.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        ask(storage)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = [
            connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar()
            for statement, parameters in asked
        ]
    return [plan[0]["Plan"] for plan in found if plan is not None]


def _scans(node: dict[str, Any], limited: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the nodes that read tables, and whether they stop when a page is full."""
    if node["Node Type"] == "Limit":
        limited = True
    elif node["Node Type"] in ("Sort", "Aggregate", "Hash", "WindowAgg"):
        limited = False
    if "Relation Name" in node:
        yield {**node, "limited": limited}
    for below in node.get("Plans", ()):
        yield from _scans(below, limited)
