"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option(
        envvar="HAMTUNE_URL",
        help="Address of the service; found through the data folder if left out.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]
Dataset = Annotated[str, typer.Option(help="Name of the dataset.")]
Sparsity = Annotated[float, typer.Option(help="Fraction of zero weights, 0 <= sparsity < 1.")]
Optimizer = Annotated[str, typer.Option(help="Base optimizer.")]
Recipe = Annotated[
    str | None,
    typer.Option(help="Training recipe, as name@version.", show_default="the dataset's default"),
]
