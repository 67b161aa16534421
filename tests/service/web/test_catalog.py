"""The catalog page."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from ham.catalog import MODELS
from ham.client.records import CatalogEntry
from service.api.app import create_app
from service.settings import Settings
from service.storage import Storage
from service.web.catalog import LABELS, catalog_page, facts


@pytest.fixture
def client(settings: Settings, storage: Storage) -> TestClient:
    return TestClient(create_app(settings, storage))


def test_page_shows_every_entry_with_all_its_facts(client: TestClient) -> None:
    text = client.get("/catalogue").text
    for section in catalog_page().sections:
        assert section.entries
        for entry in section.entries:
            assert f"<code>{entry.name}</code>" in text
    assert "GPUs of one training: 0.125" in text
    assert "share of a training until the target sparsity: 0.0" in text
    assert "images (channels, height, width): 1 x 8 x 8" in text
    assert "takes HAM: yes" in text


def test_facts_leave_out_nothing_but_what_is_empty() -> None:
    fields = set()
    for section in catalog_page().sections:
        for entry in section.entries:
            own = set(type(entry).model_fields) - set(CatalogEntry.model_fields)
            fields |= own
            assert len(facts(entry)) == sum(getattr(entry, name) not in (None, "") for name in own)
    assert set(LABELS) <= fields, "a label of a field that there is not"


def test_free_sizes_are_shown_as_a_dash() -> None:
    [entry] = [
        entry.model_copy(update={"input_shape": (3, None, None)})
        for entry in catalog_page().sections[1].entries
        if entry.name == MODELS.names()[0]
    ]
    assert facts(entry)[0] == "images (channels, height, width): 3 x – x –"
