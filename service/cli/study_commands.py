"""Commands on a submitted study: cancel, pause, resume, drain, change, rerun."""

from __future__ import annotations

from typing import Annotated

import typer

from ham.client.client import Client
from ham.client.records import Command, StudyChange
from service.cli.errors import report_errors
from service.cli.options import Json, Url
from service.cli.output import console, print_json, state_text
from service.cli.record_options import takes

Study = Annotated[str, typer.Argument(help="Id of the study.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Reason, which is kept with the study's events.")]


def cancel(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """End a study at once; its running trainings are stopped."""
    _send(Command.CANCEL, study, reason, json, url)


def pause(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Start no further training of a study; its running trainings finish."""
    _send(Command.PAUSE, study, reason, json, url)


def resume(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Continue a paused study."""
    _send(Command.RESUME, study, reason, json, url)


def drain(study: Study, reason: Reason = None, json: Json = False, url: Url = None) -> None:
    """Let the running trainings of a study finish, then end the study."""
    _send(Command.DRAIN, study, reason, json, url)


@takes(StudyChange)
def change(study: Study, change: StudyChange, json: Json = False, url: Url = None) -> None:
    """Change priority or budget of a study that has not ended."""
    with Client(url) as client:
        changed = client.change(study, change)
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


def _send(command: Command, study: str, reason: str | None, json: bool, url: str | None) -> None:
    with report_errors(), Client(url) as client:
        changed = client.command(study, command, reason)
    if json:
        print_json(changed)
    else:
        console.print(f"{study}:", state_text(changed), highlight=False)
