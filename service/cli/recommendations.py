"""``hamtune recommend`` and ``reproduce``: look up a configuration, train its evidence again."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ham.client.client import Client
from ham.client.records import PaperRecommendation, TransferredRecommendation
from search_spaces import recipe_for
from service.cli.errors import report_errors
from service.cli.options import Dataset, Json, Optimizer, Recipe, Sparsity, Url
from service.cli.output import (
    console,
    print_json,
    print_paper,
    print_recommendation,
    print_transferred,
    recommendation_table,
)


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
