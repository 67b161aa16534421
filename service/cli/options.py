"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ham.config import Schedule
from search_spaces import JOINT, SCHEDULED
from service.settings import Settings

Url = Annotated[
    str | None,
    typer.Option(
        envvar="HAMTUNE_URL",
        help="Address of the service; found through the data folder if left out.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded databases and logs.")]
Dataset = Annotated[str, typer.Option(help="Name of the dataset.")]
Sparsity = Annotated[float, typer.Option(help="Fraction of zero weights, 0 <= sparsity < 1.")]
Optimizer = Annotated[str, typer.Option(help="Base optimizer.")]
Recipe = Annotated[
    str | None,
    typer.Option(help="Training recipe, as name@version.", show_default="the dataset's default"),
]
TuneMore = Annotated[
    list[str] | None,
    typer.Option(
        "--tune",
        help=f"Tune this too: {' or '.join(JOINT)}, with HAM and without, or "
        f"{' or '.join(SCHEDULED)}; repeatable.",
    ),
]
AlphaSchedule = Annotated[Schedule, typer.Option(help="How alpha goes to 0 over a training.")]
BetaSchedule = Annotated[Schedule, typer.Option(help="How beta goes to 0 over a training.")]


def levels(listed: str | None) -> tuple[float, ...]:
    """Read sparsities that are separated by commas.

    Raises:
        ValueError: one is no number.
    """
    return tuple(float(level) for level in listed.split(",")) if listed else ()


def settings_of(**options: Any) -> Settings:
    """Return the service's settings; an option that was given replaces its variable."""
    return Settings(**{name: value for name, value in options.items() if value is not None})
