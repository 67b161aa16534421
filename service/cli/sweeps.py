"""``hamtune sweep``: a study for every combination of some lists."""

from __future__ import annotations

from typing import Annotated

import typer

from ham.client.client import Client
from ham.client.records import Budget, SweepRequest
from service.cli.errors import report_errors
from service.cli.options import AlphaSchedule, BetaSchedule, Json, Recipe, TuneMore, Url
from service.cli.output import console, print_json


def sweep(
    model: Annotated[list[str], typer.Option(help="Model; give it again for more.")],
    dataset: Annotated[list[str], typer.Option(help="Dataset; give it again for more.")],
    sparsifier: Annotated[list[str], typer.Option(help="Sparsifier; give it again for more.")],
    sparsity: Annotated[
        list[float] | None, typer.Option(help="Fraction of zero weights; again for more.")
    ] = None,
    optimizer: Annotated[list[str] | None, typer.Option(help="Base optimizer; sgd.")] = None,
    recipe: Recipe = None,
    trials: Annotated[int, typer.Option(help="Search trials of each study.")] = Budget().trials,
    more: TuneMore = None,
    alpha_schedule: AlphaSchedule = "constant",
    beta_schedule: BetaSchedule = "constant",
    priority: Annotated[int, typer.Option(help="Higher is taken up first.")] = 0,
    force: Annotated[bool, typer.Option(help="Tune again what has been tuned.")] = False,
    json: Json = False,
    url: Url = None,
) -> None:
    """Submit a study for every combination of the lists."""
    with report_errors(), Client(url) as client:
        request = SweepRequest(
            models=tuple(model),
            datasets=tuple(dataset),
            sparsifiers=tuple(sparsifier),
            sparsities=tuple(sparsity or (0.0,)),
            optimizers=tuple(optimizer or ("sgd",)),
            recipe=recipe,
            budget=Budget(trials=trials),
            priority=priority,
            tune=tuple(more or ()),  # type: ignore[arg-type]  # the record checks them
            alpha_schedule=alpha_schedule,
            beta_schedule=beta_schedule,
            force=force,
        )
        made = client.submit_sweep(request)
        if json:
            print_json(made)
            return
        console.print(f"queued {made.progress.studies} studies as {made.id}", highlight=False)
        for row in made.left_out:
            text = f"left out: {row.model} {row.sparsifier} {row.sparsity:g}: {row.reason}"
            console.print(text, highlight=False, markup=False)
