"""Recommendations: the alpha and beta to use for a combination."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from ham.catalog import SPARSIFIERS
from ham.client.records import CombinationFilter, Page, Recommendation, StudyRequest, Untuned
from ham.config import Combination, require_takes_ham
from ham.errors import InvalidConfig
from search_spaces import recipe_for
from service.api.dependencies import StorageDep, check_names, last_modified
from service.api.errors.problems import documented
from service.api.pagination import id_cursor, limit_field, page_of
from service.api.queries import CombinationQuery
from service.domain.planning.plans import resolve
from service.domain.transfer.paper_default import paper_default
from service.domain.transfer.transferred import transferred
from service.errors import NotFound

router = APIRouter(
    prefix="/v1/recommendations", tags=["recommendations"], dependencies=[Depends(last_modified)]
)


class RecommendationQuery(CombinationQuery):
    """A filter of recommendations, and a page of their list."""

    limit: int = limit_field(50, largest=200, of="Recommendations")
    cursor: str | None = id_cursor("rec")


@router.get("", summary="Look up recommended configurations", responses=documented(404, 422))
def list_recommendations(
    query: Annotated[RecommendationQuery, Query()], storage: StorageDep
) -> Page[Recommendation]:
    """Return the newest recommendation of each combination that matches, newest first.

    A query that names one combination gives model, dataset, sparsifier, and the sparsity unless
    the sparsifier is `dense`. If nothing is found, such a query answers 404 with the command that
    submits a study; `/v1/recommendations/transferred` may still have a configuration from similar
    combinations. A wider query answers an empty list.
    """
    which = check_names(query.combinations())
    asked = _named(which)
    page = page_of(
        lambda limit: storage.recommendations.latest(which, limit=limit, before=query.cursor),
        limit=query.limit,
        cursor=lambda recommendation: recommendation.id,
    )
    if not page.items and asked is not None:
        raise NotFound(_how_to_submit(asked))
    return page


@router.get(
    "/transferred",
    summary="Transfer a configuration to an untuned combination",
    responses=documented(404, 422),
)
def transfer_recommendation(
    query: Annotated[CombinationQuery, Query()], storage: StorageDep
) -> Untuned:
    """Return the configuration that tuned, similar combinations suggest for another one.

    Nothing is trained. The interval predicts a further combination of the same kind, so it
    includes the differences between combinations. If fewer than three combinations are similar
    enough, the answer is the paper's default (grade `paper`) for a combination that the paper
    reports, else 404.
    """
    asked = _named(check_names(query))
    if asked is None:
        raise InvalidConfig(
            "model", query.model, "name one combination: model, dataset, sparsifier and sparsity"
        )
    plan = resolve(asked)
    try:
        return transferred(storage, plan.combination, plan.recipe, plan.space)
    except NotFound:
        if (found := paper_default(plan.combination)) is None:
            raise
        return found


def _named(which: CombinationFilter) -> StudyRequest | None:
    """Return a request for the combination that a filter names; None unless it names one.

    Raises:
        InvalidConfig: it names one whose parts cannot be combined, or not with HAM.
    """
    sparsity = which.sparsity
    if which.sparsifier and not SPARSIFIERS.get(which.sparsifier).takes_sparsity:
        sparsity = sparsity or 0.0
    if None in (which.model, which.dataset, which.sparsifier, sparsity):
        return None
    request = StudyRequest(**{**which.model_dump(exclude_none=True), "sparsity": sparsity})
    Combination(
        **request.model_dump(include={*CombinationFilter.model_fields} - {"recipe"}),
        recipe=which.recipe or recipe_for(request.dataset).id,
    )
    require_takes_ham(request.sparsifier)
    return request


def _how_to_submit(request: StudyRequest) -> str:
    body = request.model_dump(include=set(CombinationFilter.model_fields), exclude_none=True)
    options = f"--dataset {request.dataset} --sparsity {request.sparsity:g}"
    return (
        f"{request.model} on {request.dataset} with {request.sparsifier} at sparsity "
        f"{request.sparsity:g} has not been tuned; submit a study: POST /v1/studies "
        f"{json.dumps(body)}, or: hamtune tune {request.model} {request.sparsifier} {options}"
    )
