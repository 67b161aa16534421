"""The command line: all commands, by the panels of ``hamtune --help``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import ham
from service.cli import (
    catalog,
    config,
    demo,
    keys,
    leaderboards,
    maintenance,
    recommendations,
    serving,
    studies,
    study_commands,
    sweeps,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hamtune {ham.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="hamtune",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Tune alpha and beta of Hyperbolic Aware Minimization, and look up what was found. "
    "Exit codes: 1 failed, 2 wrong usage, 3 no service answers, 4 not found.",
)

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run the service": (serving.serve, serving.worker, demo.demo),
    "Submit studies": (studies.tune, sweeps.sweep),
    "Follow and change studies": (
        studies.watch,
        studies.studies,
        study_commands.cancel,
        study_commands.pause,
        study_commands.resume,
        study_commands.drain,
        study_commands.change,
        study_commands.rerun,
    ),
    "Look up results": (
        recommendations.recommend,
        recommendations.reproduce,
        leaderboards.leaderboard,
        catalog.catalog,
    ),
    "Operate the service": (
        config.config,
        maintenance.migrate,
        maintenance.backup,
        maintenance.clean,
    ),
}


@app.callback()
def hamtune(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command("catalogue", hidden=True)(catalog.catalog)  # its name in earlier versions
app.add_typer(keys.app, name="keys", rich_help_panel="Operate the service")


def main() -> None:
    """Run the command line."""
    app()
