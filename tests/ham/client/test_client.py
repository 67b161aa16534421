"""The client, over real HTTP."""

from __future__ import annotations

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ham
from ham import HAM, StrengthSchedule
from ham.client import transport
from ham.client.address import service_url
from ham.client.client import Client
from ham.client.errors import RequestRefused, ServiceNotRunning
from ham.client.lookups import TunedJointly, recommend
from ham.client.records import Purpose
from ham.config import RECIPE_BASELINE
from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from tests.service import studies
from tests.service.api.server import serving
from tests.service.cli.conftest import free_port


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = open_storage(Settings(data_dir=tmp_path))
    migrate(storage.database)
    yield storage
    storage.database.close()


@pytest.fixture
def url(storage: Storage, tmp_path: Path) -> Iterator[str]:
    with serving(create_app(Settings(data_dir=tmp_path), storage)) as url:
        yield url


def test_client_returns_records(url: str, storage: Storage) -> None:
    with Client(url) as client:
        study = client.submit(studies.request_for(), "key")
        assert client.submit(studies.request_for(), "key").id == study.id
        plan = client.plan(study.request)
        assert plan.model_dump(exclude={"estimate"}) == study.plan.model_dump()
        stored = studies.finish(storage)
        assert client.study(study.id).progress.search.done == 4
        assert [row.id for row in client.studies(sparsifier="random")] == [study.id]
        assert len(client.trials(study.id)) == 4
        assert all(run.purpose == "search" for run in client.trials(study.id))
        assert client.runs(study.id, Purpose.SEARCH) == client.trials(study.id)
        assert client.recommendations(model="digits_cnn") == [stored]
        [board] = client.leaderboards()
        assert client.leaderboard(board.benchmark.name) == board


def test_limit_counts_items_over_all_pages(
    url: str, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.submit(storage, studies.request_for())
    studies.finish(storage)
    monkeypatch.setattr(transport, "_LARGEST_PAGE", 2)
    with Client(url) as client:
        everything = client.runs(study.id)
        assert len(everything) > 5
        for limit in (1, 2, 3, 4):
            assert client.runs(study.id, limit=limit) == everything[:limit]
        assert client.runs(study.id, limit=1000) == everything
        with pytest.raises(RequestRefused, match="limit='0' is not allowed"):
            client.studies(limit=0)


def test_files_and_texts_are_returned_whole(url: str, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    studies.finish(storage)
    with Client(url) as client:
        assert zipfile.is_zipfile(io.BytesIO(client.bundle(study.id)))
        exported = client.export("runs", purpose=Purpose.SEARCH, sparsifier="random")
        assert [json.loads(line)["purpose"] for line in exported.splitlines()] == ["search"] * 4
        with pytest.raises(RequestRefused, match="there is no log of study"):
            client.output(study.id)
        assert [event.study_id for event in client.history(study.id, limit=1)] == [study.id]


def test_recommended_configuration_unpacks_into_ham(url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    base = torch.optim.SGD([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1)
    optimizer = HAM(base, **found)
    group = optimizer.param_groups[0]
    assert (group["ham_alpha"], group["ham_beta"]) == (found.alpha, found.beta)
    assert dict(found) == {"alpha": stored.setting.alpha, "beta": stored.setting.beta}
    assert found.evidence == stored.evidence
    assert str(found) == stored.message


def test_configuration_tuned_jointly_comes_with_a_warning_that_names_the_rest(
    url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for(tune=("learning_rate",)))
    stored = studies.finish(storage)
    assert stored.learning_rate == 0.1 * stored.setting.learning_rate != 0.1
    with pytest.warns(TunedJointly, match=f"learning rate {stored.learning_rate:.6g}"):
        found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    assert dict(found) == {"alpha": stored.setting.alpha, "beta": stored.setting.beta}
    assert (found.learning_rate, found.weight_decay) == (stored.learning_rate, None)
    with Client(url) as client:
        runs = client.evidence_runs(stored)
    assert [(run.setting, run.seed) for run in runs] == [
        (setting, seed) for setting in stored.compared for seed in stored.seeds
    ]
    assert stored.control.learning_rate != 1 and RECIPE_BASELINE in stored.compared


def test_recommended_schedules_can_be_followed(url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for(tune=("beta_schedule",)))
    stored = studies.finish(storage)
    assert stored.setting.beta_schedule == "cosine"
    with pytest.warns(TunedJointly, match=r"beta cosine to 0; ham\.StrengthSchedule"):
        found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    optimizer = HAM(torch.optim.SGD([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1), **found)
    strengths = StrengthSchedule(optimizer, found.setting, steps=2)
    strengths.set(2)
    (group,) = optimizer.param_groups
    assert group["ham_alpha"] == stored.setting.alpha
    assert group["ham_beta"] == pytest.approx(stored.setting.beta / 2)


def test_refusal_carries_status_detail_and_fields(url: str) -> None:
    with Client(url) as client, pytest.raises(RequestRefused, match="'digits_cnn'") as caught:
        client.recommendations(model="digits_cn")
    assert caught.value.status == 422
    assert caught.value.errors[0]["field"] == "model"


def test_untuned_combination_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(RequestRefused, match="POST /v1/studies") as caught:
        recommend("digits_cnn", "digits", "rigl", 0.5, url=url)
    assert caught.value.status == 404


def test_nothing_at_the_address_says_how_to_start_one() -> None:
    with pytest.raises(ServiceNotRunning, match="hamtune serve"):
        recommend("digits_cnn", "digits", "dense", url=f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["http://[::bad", "nonsense", "ftp://127.0.0.1"])
def test_address_that_is_none_is_told_as_such(url: str) -> None:
    with pytest.raises(ServiceNotRunning):
        recommend("digits_cnn", "digits", "dense", url=url)


def test_another_program_at_the_address_is_told_as_such() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(ServiceNotRunning, match="no hamtune service"):
            recommend(
                "digits_cnn", "digits", "dense", url=f"http://127.0.0.1:{server.server_port}"
            )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_address_comes_from_the_environment_then_the_data_folder_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAMTUNE_URL", raising=False)
    assert service_url(tmp_path) == "http://127.0.0.1:8642"
    (tmp_path / "service.json").write_text('{"url": "http://x:1", "instance": "i", "pid": 1}')
    assert service_url(tmp_path) == "http://x:1"
    monkeypatch.setenv("HAMTUNE_URL", "http://y:2/")
    assert service_url(tmp_path) == "http://y:2"


def test_client_and_lookup_are_public_names_of_ham() -> None:
    assert (ham.Client, ham.recommend) == (Client, recommend)
    assert {*ham.client.__all__} == {*dir(ham.client)}
    assert all(getattr(ham.client, name) for name in ham.client.__all__)
    with pytest.raises(AttributeError, match="'recomend'; public: "):
        ham.client.recomend  # noqa: B018  # the lookup itself is tested
