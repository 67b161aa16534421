"""The client, over real HTTP."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

import ham
from ham.client import transport
from ham.client.client import Client
from ham.client.errors import RequestRefused
from ham.client.recommended import recommend
from ham.client.records import Purpose
from service.storage import Storage
from tests.service import studies


def test_client_returns_records(url: str, storage: Storage) -> None:
    with Client(url) as client:
        study = client.submit(studies.request_for(), "key")
        assert client.submit(studies.request_for(), "key").id == study.id
        plan = client.plan(study.request)
        assert plan.model_dump(exclude={"estimate"}) == study.plan.model_dump()
        stored = studies.finish(storage)
        assert client.study(study.id).progress.search.done == 4
        assert [found.id for found in client.studies(sparsifier="random")] == [study.id]
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
        with pytest.raises(RequestRefused, match="there is no output of study"):
            client.output(study.id)
        assert [event.study_id for event in client.history(study.id, limit=1)] == [study.id]


def test_refusal_carries_status_detail_and_fields(url: str) -> None:
    with Client(url) as client, pytest.raises(RequestRefused, match="'digits_cnn'") as caught:
        client.recommendations(model="digits_cn")
    assert caught.value.status == 422
    assert caught.value.errors[0]["field"] == "model"


def test_client_and_lookup_are_public_names_of_ham() -> None:
    assert (ham.Client, ham.recommend) == (Client, recommend)
    assert {*ham.client.__all__} == {*dir(ham.client)}
    assert all(getattr(ham.client, name) for name in ham.client.__all__)
    with pytest.raises(AttributeError, match="'recomend'; public: "):
        ham.client.recomend  # noqa: B018  # the lookup itself is tested
