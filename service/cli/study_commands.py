"""Commands on a submitted study: cancel, pause, resume, drain, change, rerun."""

from __future__ import annotations

from typing import Annotated

import typer

from ham.client.client import Client
from ham.client.records import BudgetChange, Command, StudyChange
from service.cli.errors import report_errors
from service.cli.options import Json, Url
from service.cli.output import console, print_json, state_text

Study = Annotated[str, typer.Argument(help="Id of the study.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the study's events.")]


def cancel(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """End a study at once; trainings under way are stopped."""
    _do(Command.CANCEL, study, reason, json, url)


def pause(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Begin no further training of a study; those under way end."""
    _do(Command.PAUSE, study, reason, json, url)


def resume(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Go on with a paused study."""
    _do(Command.RESUME, study, reason, json, url)


def drain(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Let trainings under way end, then end the study."""
    _do(Command.DRAIN, study, reason, json, url)


def change(
    study: Study,
    priority: Annotated[int | None, typer.Option(help="Higher is taken up first.")] = None,
    trials: Annotated[int | None, typer.Option(help="Search trials.")] = None,
    finalists: Annotated[int | None, typer.Option(help="Settings that are screened.")] = None,
    screening_seeds: Annotated[int | None, typer.Option(help="Seeds of the screening.")] = None,
    confirmation_seeds: Annotated[
        int | None, typer.Option(help="Seeds of the confirmation.")
    ] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Cap on training epochs.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Cap on wall time.")] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Change priority or budget of a study, also while it runs."""
    with report_errors(), Client(url) as client:
        budget = BudgetChange(
            trials=trials,
            finalists=finalists,
            screening_seeds=screening_seeds,
            confirmation_seeds=confirmation_seeds,
            max_epochs=max_epochs,
            max_seconds=max_seconds,
        )
        changed = client.change(study, StudyChange(priority=priority, budget=budget))
        if json:
            print_json(changed)
        else:
            text = f"{study}: priority {changed.priority}, {changed.plan.expected_runs} runs"
            console.print(text, highlight=False)


def rerun(study: Study, json: Json = False, url: Url = None) -> None:
    """Submit the request of a study again, as a new study."""
    with report_errors(), Client(url) as client:
        new = client.rerun(study)
        if json:
            print_json(new)
        else:
            console.print(f"queued {new.id}; follow it with: hamtune watch {new.id}")


def _do(command: Command, study: str, reason: str | None, json: bool, url: str | None) -> None:
    with report_errors(), Client(url) as client:
        now = client.command(study, command, reason)
        if json:
            print_json(now)
        else:
            console.print(f"{study}:", state_text(now), highlight=False)
