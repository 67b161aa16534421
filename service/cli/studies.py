"""``hamtune tune``, ``watch`` and ``studies``: submit a study, follow it, list studies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from ham.client.client import Client
from ham.client.records import StudyRequest, StudyState
from service.cli import watch as watching
from service.cli.errors import FAILED, fail, report_errors
from service.cli.options import Json, Url
from service.cli.output import (
    console,
    print_json,
    print_pareto_front,
    print_plan,
    print_recommendation,
    study_table,
)
from service.cli.record_options import takes

_ENDS = {StudyState.FAILED: "failed", StudyState.CANCELLED: "was cancelled"}


@takes(StudyRequest, arguments=("model", "sparsifier"), names={"objectives": "objective"})
def tune(
    request: StudyRequest,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key gives the same study.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show progress until the study ends.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what the study would train and cost.")
    ] = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Submit a study and follow it to its recommendation, or its Pareto front."""
    request = _with_accuracy(request)
    with Client(url) as client:
        if dry_run:
            plan = client.plan(request)
            print_json(plan) if json else print_plan(console, plan)
            return
        study = client.submit(request, key)
        if wait:
            _follow(client, study.id, json)
        elif json:
            print_json(study)
        else:
            console.print(f"queued {study.id}; follow it with: hamtune watch {study.id}")


def watch(
    study: Annotated[str, typer.Argument(help="Id of the study.", show_default=False)],
    json: Json = False,
    url: Url = None,
) -> None:
    """Follow a study to its recommendation, or its Pareto front."""
    with report_errors(), Client(url) as client:
        _follow(client, study, json)


def studies(
    state: Annotated[StudyState | None, typer.Option(help="Only studies in this state.")] = None,
    limit: Annotated[int, typer.Option(help="Largest number of studies.")] = 20,
    json: Json = False,
    url: Url = None,
) -> None:
    """List studies, newest first."""
    with report_errors(), Client(url) as client:
        found = client.studies(state=state, limit=limit)
        if json:
            print_json(found)
        else:
            console.print(study_table(found) if found else "there are no such studies")


def _with_accuracy(request: StudyRequest) -> StudyRequest:
    """Return the request with accuracy as the first objective, which need not be named."""
    others = [objective for objective in request.objectives if objective != "accuracy"]
    return request.model_copy(update={"objectives": ("accuracy", *others)})


def _follow(client: Client, study_id: str, json: bool) -> None:
    """Watch one study, then write its result; a failed study gives exit code 1."""
    study = watching.watch(client, [study_id], Console(stderr=True) if json else console)[0]
    if study.state != StudyState.SUCCEEDED:
        fail(f"study {study.id} {_ENDS[study.state]}: {study.error}", FAILED)
    if study.plan.is_multi_objective:
        front = client.pareto_front(study.id)
        print_json({"study": study, "front": front}) if json else print_pareto_front(
            console, front
        )
        return
    found = client.recommendations(**asdict(study.plan.combination))[0]
    if json:
        print_json({"study": study, "recommendation": found})
    else:
        print_recommendation(console, found)
