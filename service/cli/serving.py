"""``hamtune serve`` and ``hamtune worker``: run the service, or a scheduler alone."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from service.cli.errors import report_errors
from service.cli.options import DataDir, settings_of
from service.cli.output import console
from service.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    data_dir: DataDir = None,
    scheduler: Annotated[
        bool, typer.Option(help="Run a scheduler beside the API; without one, no study is run.")
    ] = True,
    die_with_parent: Annotated[bool, typer.Option("--die-with-parent", hidden=True)] = False,
) -> None:
    """Start the service: API, web pages, Optuna dashboard and a scheduler."""
    with report_errors():
        settings = settings_of(host=host, port=port, data_dir=data_dir)
        from service.cli.server import serve as run  # lazy: the other commands start without it
        from service.workers.scheduler import processes  # lazy: the same

        if die_with_parent:
            processes.die_with_parent()
        if scheduler and settings.checkpoints is not None:
            from service.workers.cluster import checkpoints  # lazy: only buckets need it

            checkpoints.check_checkpoint_store(settings.checkpoint_location)
        run(settings, scheduler, lambda url: _announce(url, settings))


def worker(
    join: Annotated[
        bool,
        typer.Option(
            help="Add this machine to the cluster at RAY_ADDRESS as a node without CPUs."
        ),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a scheduler without the API, on a further machine with the same database."""
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        if join and settings.ray_address is None:
            raise ValueError("--join needs the address of a Ray cluster; set RAY_ADDRESS")
        from service.cli.scheduler_process import environment  # lazy: only workers need it

        command = [sys.executable, "-m", "service.workers", *(["--join"] if join else [])]
        os.execve(sys.executable, command, {**os.environ, **environment(settings)})


def _announce(url: str, settings: Settings) -> None:
    console.print(f"hamtune answers at [bold]{url}[/]")
    console.print(f"  API {url}/docs · Optuna dashboard {url}/dashboard", highlight=False)
    console.print(f"  data and logs in {settings.data_dir.resolve()}", highlight=False)
    if settings.keys_required:
        console.print("  an API key is needed; create one with: hamtune keys create NAME")
    console.print("  Ctrl-C stops the service; its studies continue when it starts again.")
