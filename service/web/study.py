"""The page of a study: its Pareto front, and its runs with their measures."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from ham.client.records import EarlyStoppingReport, ParetoFront, Purpose, Run, Study
from service.api.dependencies import StorageDep, StudyId
from service.domain.search import early_stopping_report
from service.storage import Storage
from service.web.measures import ShownMeasures, shown_measures
from service.web.templating import page_response

router = APIRouter()

_STAGE_ORDER = (Purpose.CONFIRMATION, Purpose.SCREENING, Purpose.SEARCH)


@router.get("/studies/{study_id}")
def show_study(request: Request, study_id: StudyId, storage: StorageDep) -> Response:
    """Show the runs of a study and their measures. Raises NotFound."""
    return page_response(request, "study.html", page=study_page(storage, study_id))


@dataclass(frozen=True)
class StudyPage:
    """Everything on the page of a study.

    Attributes:
        stages: the runs of each stage that has runs; the last stage comes first.
    """

    study: Study
    pareto_front: ParetoFront | None
    early_stopping: EarlyStoppingReport
    stages: list[tuple[Purpose, list[tuple[Run, ShownMeasures]]]]


def study_page(storage: Storage, study_id: str) -> StudyPage:
    """Read everything on the page of a study. Raises NotFound."""
    study, runs = storage.studies.get(study_id), storage.runs.of_study(study_id)
    stages = [
        (purpose, [(run, shown_measures(run)) for run in runs if run.purpose == purpose])
        for purpose in _STAGE_ORDER
    ]
    report = early_stopping_report.report(study, storage.runs)
    pareto_front = storage.pareto_fronts.of_study(study_id)
    return StudyPage(study, pareto_front, report, [stage for stage in stages if stage[1]])
