"""``hamtune recommend`` and ``reproduce``: look up a configuration, train its evidence again."""

from __future__ import annotations

import re

import typer

from ham.client.client import Client
from ham.client.records import (
    CombinationFilter,
    PaperRecommendation,
    StudyRequest,
    TransferredRecommendation,
)
from search_spaces import recipe_for
from service.cli.options import Json, Url
from service.cli.output import (
    console,
    print_json,
    print_paper,
    print_recommendation,
    print_transferred,
    recommendation_table,
)
from service.cli.record_options import takes

COMBINATION = tuple(CombinationFilter.model_fields)


@takes(CombinationFilter, arguments=("model", "sparsifier"))
def recommend(which: CombinationFilter, json: Json = False, url: Url = None) -> None:
    """Look up recommended configurations; what is left out matches all."""
    with Client(url) as client:
        found = client.look_up(**which.model_dump())
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


@takes(StudyRequest, arguments=("model", "sparsifier"), only=COMBINATION)
def reproduce(request: StudyRequest, url: Url = None) -> None:
    """Write the runs behind a recommendation, to train again: ... | python -m ham - --test"""
    which = request.model_dump(include=set(COMBINATION))
    which["recipe"] = request.recipe or recipe_for(request.dataset).id
    with Client(url) as client:
        (found,) = client.recommendations(**which)
        print_json([run.to_json() for run in client.evidence_runs(found)])
    environments = {name for evidence in found.evidence for name in evidence.environments}
    for environment in sorted(environments):
        typer.echo(f"trained on: {environment}", err=True)
        if several := re.match(r"(\d+) x ", environment):
            typer.echo(f"so add: --devices {several[1]}", err=True)
