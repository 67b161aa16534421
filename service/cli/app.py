"""The commands. Each is short: it reads options, calls what does the work, and writes."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ham.client.client import Client
from ham.client.records import (
    Budget,
    PaperRecommendation,
    StudyRequest,
    StudyState,
    TransferredRecommendation,
)
from search_spaces import recipe_for
from service.cli import keys
from service.cli.catalog import catalogue
from service.cli.commands import add_commands
from service.cli.config import config
from service.cli.errors import FAILED, fail, report_errors
from service.cli.maintenance import backup, clean
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
    leaderboard_table,
    print_json,
    print_paper,
    print_pareto_front,
    print_plan,
    print_recommendation,
    print_transferred,
    recommendation_table,
    study_table,
)
from service.cli.watch import watch as watch_studies
from service.settings import Settings

app = typer.Typer(
    name="hamtune",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Tune alpha and beta of Hyperbolic Aware Minimization, and look up what was found. "
    "Exit codes: 1 failed, 2 wrong usage, 3 no service answers, 4 not found.",
)
_WIDTH_OF_FILES = 120
_ENDS = {StudyState.FAILED: "failed", StudyState.CANCELLED: "was cancelled"}
console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
app.add_typer(keys.app, name="keys")
for command in (catalogue, config, backup, clean):
    app.command()(command)

add_commands(app)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded databases and logs.")]


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    data_dir: DataDir = None,
    scheduler: Annotated[
        bool, typer.Option(help="Run a scheduler beside the API; without it, only answer.")
    ] = True,
    die_with_parent: Annotated[bool, typer.Option("--die-with-parent", hidden=True)] = False,
) -> None:
    """Start the service: API, page, Optuna dashboard and a scheduler."""
    with report_errors():
        settings = _settings(host=host, port=port, data_dir=data_dir)
        from service.cli.serving import serve as run  # lazy: the other commands start without it
        from service.workers.scheduler import processes  # lazy: the same

        if die_with_parent:
            processes.die_with_parent()
        if scheduler and settings.checkpoints is not None:
            from service.workers.cluster import checkpoints  # lazy: only buckets need it

            checkpoints.check_checkpoint_store(settings.checkpoint_location)
        run(settings, scheduler, lambda url: _announce(url, settings))


@app.command()
def worker(
    join: Annotated[
        bool,
        typer.Option(help="Make this machine a node of the cluster at RAY_ADDRESS, without CPUs."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a scheduler only: on more machines, beside one database."""
    with report_errors():
        settings = _settings(data_dir=data_dir)
        if join and settings.ray_address is None:
            raise ValueError("--join needs the address of a Ray cluster; set RAY_ADDRESS")
        from service.cli.scheduler_process import environment  # lazy: see serve

        command = [sys.executable, "-m", "service.workers", *(["--join"] if join else [])]
        os.execve(sys.executable, command, {**os.environ, **environment(settings)})


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version's tables (serve and worker do so by themselves)."""
    with report_errors():
        settings = _settings(data_dir=data_dir)
        from service.storage import Database  # lazy: see serve
        from service.storage.engine.migrate import migrate as run  # lazy: see serve

        run(Database(settings.database))
        console.print("the database is up to date")


@app.command()
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


@app.command()
def watch(
    study: Annotated[str, typer.Argument(help="Id of the study.", show_default=False)],
    json: Json = False,
    url: Url = None,
) -> None:
    """Follow a study to its recommendation."""
    with report_errors(), Client(url) as client:
        _follow(client, study, json)


@app.command()
def recommend(
    model: Annotated[str | None, typer.Argument(help="Name of the model.")] = None,
    sparsifier: Annotated[str | None, typer.Argument(help="Name of the sparsifier.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Fraction of zero weights.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="Base optimizer.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Training recipe, as name@version.")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Look up recommended settings; what is left out matches all."""
    with report_errors(), Client(url) as client:
        found = client.look_up(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            recipe=recipe,
        )
        if json:
            print_json(found)
        elif isinstance(found, TransferredRecommendation):
            print_transferred(console, found)
        elif isinstance(found, PaperRecommendation):
            print_paper(console, found)
        elif not found:
            console.print("nothing that matches has been tuned yet; see: hamtune tune --help")
        elif len(found) == 1:
            print_recommendation(console, found[0])
        else:
            console.print(recommendation_table(found))


@app.command()
def reproduce(
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    sparsifier: Annotated[str, typer.Argument(help="Name of the sparsifier.", show_default=False)],
    dataset: Dataset,
    sparsity: Sparsity = 0.0,
    optimizer: Optimizer = "sgd",
    recipe: Recipe = None,
    url: Url = None,
) -> None:
    """Write the runs behind a recommendation, to train again: ... | python -m ham - --test"""
    with report_errors(), Client(url) as client:
        (found,) = client.recommendations(
            model=model,
            dataset=dataset,
            sparsifier=sparsifier,
            sparsity=sparsity,
            optimizer=optimizer,
            recipe=recipe or recipe_for(dataset).id,
        )
        print_json([run.to_json() for run in client.evidence_runs(found)])
    for environment in sorted({name for row in found.evidence for name in row.environments}):
        typer.echo(f"trained on: {environment}", err=True)
        if several := re.match(r"(\d+) x ", environment):
            typer.echo(f"so add: --devices {several[1]}", err=True)


@app.command()
def leaderboard(
    benchmark: Annotated[
        str | None, typer.Argument(help="Name of the benchmark; all if left out.")
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Show methods ranked under equal conditions."""
    with report_errors(), Client(url) as client:
        boards = [client.leaderboard(benchmark)] if benchmark else client.leaderboards()
        if json:
            print_json(boards[0] if benchmark else boards)
            return
        for board in boards:
            console.print(leaderboard_table(board), "")
        if not boards:
            console.print("there are no leaderboards yet; see: hamtune tune --help")


@app.command()
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


@app.command()
def demo(
    exit: Annotated[
        bool, typer.Option("--exit", help="Stop when everything is shown, for scripts.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Tune six small combinations on real data and show what came out."""
    with report_errors():
        settings = _settings(data_dir=data_dir)
        from service.cli.demo import run_demo  # lazy: only this command needs it

        run_demo(settings, console, stay=not exit)


def _settings(**options: Any) -> Settings:
    return Settings(**{name: value for name, value in options.items() if value is not None})


def _announce(url: str, settings: Settings) -> None:
    console.print(f"hamtune answers at [bold]{url}[/]")
    console.print(f"  API {url}/docs · Optuna dashboard {url}/dashboard", highlight=False)
    console.print(f"  data and logs in {settings.data_dir.resolve()}", highlight=False)
    if settings.keys_required:
        console.print("  an API key is needed; make one with: hamtune keys create NAME")
    console.print("  Ctrl-C stops it; studies go on from where they were when it starts again.")


def _follow(client: Client, study_id: str, json: bool) -> None:
    """Watch one study, then write what it has found; a failed study is exit code 1."""
    study = watch_studies(client, [study_id], Console(stderr=True) if json else console)[0]
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
