"""API keys: created once, recognised, revoked; their secrets are stored nowhere."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.errors import NotFound
from service.records import Scope
from service.storage import Storage
from tests.conftest import MovableClock


def test_key_is_recognised_by_its_text(storage: Storage) -> None:
    key, token = storage.keys.create("ada", Scope.READ)
    other, _ = storage.keys.create("ben", Scope.ADMIN)
    found = storage.keys.verify(token)
    assert found is not None and (found.id, found.scope) == (key.id, Scope.READ)
    assert [found.id for found in storage.keys.list()] == [key.id, other.id]


@pytest.mark.parametrize("wrong", ["", "x", "hamtune__", "\x00", "hamtune_" + "0" * 26, "é" * 80])
def test_another_text_is_refused(storage: Storage, wrong: str) -> None:
    storage.keys.create("ada", Scope.READ)
    assert storage.keys.verify(wrong) is None


def test_id_with_another_secret_is_refused(storage: Storage) -> None:
    _, one = storage.keys.create("ada", Scope.READ)
    _, two = storage.keys.create("ben", Scope.ADMIN)
    head, mixed = one[: len("hamtune_") + 26], two[len("hamtune_") + 26 :]
    assert storage.keys.verify(head + mixed) is None
    assert storage.keys.verify(one[:-1] + ("A" if one[-1] != "A" else "E")) is None


def test_revoked_key_is_refused(storage: Storage, clock: MovableClock) -> None:
    key, token = storage.keys.create("ada", Scope.READ)
    revoked = storage.keys.revoke(key.id)
    assert revoked.revoked_at == clock.now
    assert storage.keys.verify(token) is None
    clock.advance(60)
    assert storage.keys.revoke(key.id) == revoked
    with pytest.raises(NotFound, match="hamtune keys list"):
        storage.keys.revoke("key_none")


def test_use_is_noted_to_the_hour(storage: Storage, clock: MovableClock) -> None:
    _, token = storage.keys.create("ada", Scope.READ)
    assert storage.keys.list()[0].last_used_at is None
    first = clock.now
    for _ in range(3):
        storage.keys.verify(token)
        clock.advance(1000)
    assert storage.keys.list()[0].last_used_at == first
    clock.advance(1000)
    storage.keys.verify(token)
    assert storage.keys.list()[0].last_used_at == clock.now


def test_secret_is_not_in_the_database(storage: Storage) -> None:
    key, token = storage.keys.create("ada", Scope.READ)
    with storage.database.read() as session:
        stored = str(session.execute(text("SELECT * FROM api_key")).all())
    assert token.removeprefix(f"hamtune_{key.id.removeprefix('key_')}_") not in stored
