"""Permissions: commands on studies of others, and raised priorities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.records import Scope
from service.settings import Settings
from service.storage import Storage
from tests.service import studies
from tests.service.builders import opened

STUDY = studies.request_for().model_dump(mode="json")
SWEEP = {"models": ["digits_cnn"], "datasets": ["digits"], "sparsifiers": ["dense"]}
Key = dict[str, str]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with opened(Settings(data_dir=Path(tmp_path_factory.mktemp("permissions")))) as storage:
        yield storage


@pytest.fixture(scope="module")
def client(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("none")), require_keys=True)
    return TestClient(create_app(settings, storage))


@pytest.fixture(scope="module")
def keys(storage: Storage) -> dict[str, Key]:
    holders = {"ada": Scope.SUBMIT, "ben": Scope.SUBMIT, "root": Scope.ADMIN}
    made = {name: storage.keys.create(name, scope)[1] for name, scope in holders.items()}
    return {name: {"Authorization": f"Bearer {token}"} for name, token in made.items()}


COMMANDS: list[tuple[str, str, Any]] = [
    ("post", "/pause", None),
    ("post", "/resume", None),
    ("patch", "", {"priority": -1}),
    ("post", "/drain", None),
    ("post", "/cancel", {"reason": "no longer needed"}),
]


@pytest.mark.parametrize(("method", "path", "body"), COMMANDS)
def test_only_its_submitter_and_administrators_act_on_a_study(
    client: TestClient, keys: dict[str, Key], method: str, path: str, body: Any
) -> None:
    address = client.post("/v1/studies", json=STUDY, headers=keys["ada"]).headers["Location"]
    state = client.get(address, headers=keys["ben"]).json()["state"]
    refused = client.request(method, address + path, json=body, headers=keys["ben"])
    assert refused.status_code == 403
    assert "was submitted with the key" in refused.json()["detail"]
    assert client.get(address, headers=keys["ben"]).json()["state"] == state
    for holder in ("ada", "root"):
        done = client.request(method, address + path, json=body, headers=keys[holder])
        assert done.status_code == 200, done.text


def test_anybody_who_may_submit_reruns_a_study_as_its_submitter(
    client: TestClient, keys: dict[str, Key]
) -> None:
    address = client.post("/v1/studies", json=STUDY, headers=keys["ada"]).headers["Location"]
    again = client.post(f"{address}/rerun", headers=keys["ben"])
    assert again.status_code == 202
    rerun = again.headers["Location"]
    assert client.post(f"{rerun}/cancel", headers=keys["ben"]).status_code == 200


def test_only_administrators_submit_with_a_raised_priority(
    client: TestClient, keys: dict[str, Key]
) -> None:
    for path, body in (("/v1/studies", STUDY), ("/v1/sweeps", SWEEP)):
        urgent = {**body, "priority": 1}
        refused = client.post(path, json=urgent, headers=keys["ada"])
        assert refused.status_code == 403
        assert "HAMTUNE_MAX_PRIORITY" in refused.json()["detail"]
        assert client.post(path, json=urgent, headers=keys["root"]).status_code == 202
        modest = {**body, "priority": -1}
        assert client.post(path, json=modest, headers=keys["ada"]).status_code == 202


def test_only_administrators_raise_the_priority_of_a_study(
    client: TestClient, keys: dict[str, Key]
) -> None:
    address = client.post("/v1/studies", json=STUDY, headers=keys["ada"]).headers["Location"]
    assert client.patch(address, json={"priority": 5}, headers=keys["ada"]).status_code == 403
    assert client.patch(address, json={"priority": 5}, headers=keys["root"]).status_code == 200
    budget = {"budget": {"trials": 9}}
    kept = client.patch(address, json=budget, headers=keys["ada"])
    assert (kept.status_code, kept.json()["priority"]) == (200, 5)
