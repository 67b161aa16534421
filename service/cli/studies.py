"""``hamtune tune``, ``watch`` and ``studies``: submit a study, follow it, list studies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from ham.client.client import Client
from ham.client.records import Budget, StudyRequest, StudyState
from service.cli import watch as watching
from service.cli.errors import FAILED, fail, report_errors
from service.cli.options import (
    AlphaSchedule,
    BetaSchedule,
    Dataset,
    Json,
    Optimizer,
    Recipe,
    Sparsity,
    TuneMore,
    Url,
    levels,
)
from service.cli.output import (
    console,
    print_json,
    print_pareto_front,
    print_plan,
    print_recommendation,
    study_table,
)

_ENDS = {StudyState.FAILED: "failed", StudyState.CANCELLED: "was cancelled"}


def tune(
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    sparsifier: Annotated[str, typer.Argument(help="Name of the sparsifier.", show_default=False)],
    dataset: Dataset,
    sparsity: Sparsity = 0.0,
    optimizer: Optimizer = "sgd",
    recipe: Recipe = None,
    trials: Annotated[int, typer.Option(help="Search trials.")] = Budget().trials,
    finalists: Annotated[
        int, typer.Option(help="Promising settings that race on fresh seeds.")
    ] = Budget().finalists,
    screening_seeds: Annotated[
        int, typer.Option(help="Trainings of the race per finalist, on average.")
    ] = Budget().screening_seeds,
    confirmation_seeds: Annotated[
        int, typer.Option(help="Further seeds on which its gain is measured; 0: none.")
    ] = Budget().confirmation_seeds,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What accuracy is traded for: sparsity, training_flops or inference_flops."
        ),
    ] = None,
    sparsities: Annotated[
        str | None, typer.Option(help="With --objective: 2 to 10 levels, as 0.5,0.8,0.9.")
    ] = None,
    more: TuneMore = None,
    alpha_schedule: AlphaSchedule = "constant",
    beta_schedule: BetaSchedule = "constant",
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key gives the same study.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher is taken up first, -100 to 100.")] = 0,
    wait: Annotated[bool, typer.Option(help="Stay and show progress.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what it would train and take.")
    ] = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Submit a study and follow it to its recommendation, or its Pareto front."""
    with report_errors(), Client(url) as client:
        budget = Budget(
            trials=trials,
            finalists=finalists,
            screening_seeds=screening_seeds,
            confirmation_seeds=confirmation_seeds,
        )
        request = StudyRequest(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            recipe=recipe,
            budget=budget,
            objectives=("accuracy", *([objective] if objective else [])),  # type: ignore[arg-type]
            sparsities=levels(sparsities),
            priority=priority,
            tune=tuple(more or ()),  # type: ignore[arg-type]  # the record checks them
            alpha_schedule=alpha_schedule,
            beta_schedule=beta_schedule,
        )
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
    """Follow a study to its recommendation."""
    with report_errors(), Client(url) as client:
        _follow(client, study, json)


def studies(
    state: Annotated[StudyState | None, typer.Option(help="Only studies in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 20,
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


def _follow(client: Client, study_id: str, json: bool) -> None:
    """Watch one study, then write what it has found; a failed study is exit code 1."""
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
