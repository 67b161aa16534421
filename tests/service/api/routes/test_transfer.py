from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ham.client import recommended
from ham.client.errors import RequestRefused
from ham.client.records import Budget
from ham.config import RECIPE_BASELINE
from service.domain.planning.plans import resolve
from service.domain.transfer.warm_start import warm_start
from service.storage import Storage
from tests.service.api.server import serving
from tests.service.studies import finish, request_for, submit

BUDGET = Budget(trials=12, finalists=2, screening_seeds=2, confirmation_seeds=3)
ASKED: dict[str, Any] = {
    "model": "digits_mlp",
    "dataset": "digits",
    "sparsifier": "random",
    "sparsity": 0.9,
}


def tune(storage: Storage, *sparsifiers: str) -> None:
    for name in sparsifiers:
        submit(storage, request_for(name, budget=BUDGET))
        finish(storage)


def test_configuration_is_transferred_with_its_interval_and_neighbours(
    storage: Storage, client: TestClient
) -> None:
    tune(storage, "random", "rigl", "set", "gmp")

    answer = client.get("/v1/recommendations/transferred", params=ASKED)

    found = answer.json()
    assert answer.status_code == 200
    assert found["grade"] == "transferred"
    assert found["combination"]["model"] == "digits_mlp"
    assert found["expected_gain"]["low"] < found["expected_gain"]["high"]
    near = [neighbour["combination"]["sparsifier"] for neighbour in found["neighbours"]]
    assert near[0] == "random" and set(near) == {"random", "rigl", "set", "gmp"}
    assert "Submit a study" in found["message"]


def test_too_few_neighbours_are_refused(storage: Storage, client: TestClient) -> None:
    tune(storage, "random", "rigl")

    answer = client.get("/v1/recommendations/transferred", params=ASKED)

    assert answer.status_code == 404
    assert "only 2 of the 3 similar combinations" in answer.json()["detail"]


def test_papers_default_is_answered_with_its_own_grade(app: FastAPI) -> None:
    asked = ASKED | {"model": "resnet50", "dataset": "imagenet", "sparsifier": "rigl"}
    with serving(app) as url:
        with pytest.warns(recommended.NotTuned, match="paper's default"):
            found = recommended.recommend("resnet50", "imagenet", "rigl", 0.9, url=url)
        answer = httpx2.get(f"{url}/v1/recommendations/transferred", params=asked).json()
    assert {**found} == {"alpha": 200.0, "beta": 1e-3}
    assert answer["grade"] == "paper"
    assert {(p["method"], p["sparsity"]) for p in answer["published"]} == {("rigl", 0.9)}
    assert any(p["ham"] for p in answer["published"])


def test_query_must_name_one_combination(client: TestClient) -> None:
    answer = client.get("/v1/recommendations/transferred", params={"model": "digits_mlp"})

    assert answer.status_code == 422
    assert "name one combination" in answer.text


def test_recommend_warns_that_nothing_was_trained(storage: Storage, app: FastAPI) -> None:
    tune(storage, "random", "rigl", "set")

    with serving(app) as url:
        with pytest.warns(recommended.NotTuned, match="is transferred from"):
            found = recommended.recommend("digits_mlp", "digits", "random", 0.9, url=url)
        with pytest.raises(RequestRefused, match="has not been tuned"):
            recommended.recommend("digits_mlp", "digits", "random", 0.9, url=url, transfer=False)

    assert found.evidence == ()
    assert {**found} == {"alpha": found.alpha, "beta": found.beta}


def test_search_begins_with_transferred_configurations_unless_switched_off(
    storage: Storage,
) -> None:
    tune(storage, "random", "rigl", "set")
    request = request_for("gmp", budget=BUDGET)

    opening, prior = warm_start(storage, resolve(request))

    assert opening and RECIPE_BASELINE not in opening
    assert prior is not None and len(prior.neighbours) == 3
    assert prior.gains[0][0] == 0, "the baseline gains nothing over itself"
    off = resolve(request.model_copy(update={"transfer": False}))
    assert warm_start(storage, off) == ((), None)
