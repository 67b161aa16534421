"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.settings import Settings

Url = Annotated[
    str | None,
    typer.Option(
        envvar="HAMTUNE_URL",
        help="Address of the service; found through the data folder if left out.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write only JSON to stdout.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded databases and logs.")]


def settings_of(**options: Any) -> Settings:
    """Return the service's settings; an option that is not None overrides its variable."""
    return Settings(**{name: value for name, value in options.items() if value is not None})
